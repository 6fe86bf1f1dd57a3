"""People beside a task: one takes the wheel and the agent waits, one has brought a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from libs import context, ids
from podium.browser_session.v1 import browser_session_pb2 as session_pb
from podium.browser_session.v1.browser_session_pb2_grpc import BrowserSessionServiceStub
from podium.task.v1 import task_pb2
from podium.task.v1.task_pb2_grpc import TaskServiceStub
from services.browser_session.service import BrowserSessionService
from services.task.service import TaskService
from services.task.wire import struct
from tests.support.eventually import eventually
from tests.support.mesh import Running, running
from tests.support.sites.office import office
from tests.support.sites.shop import shop

ACTIONS = (
    {"kind": "fill", "target": "Name", "value": "ada"},
    {"kind": "click", "target": "Sign in"},
    {"kind": "wait_for", "text": "Orders of ada"},
    {"kind": "wait_for", "text": "ready now", "timeout_ms": 30_000},
    {"kind": "click", "target": "Order"},
    {"kind": "wait_for", "text": "Ordered 1 times"},
)


@dataclass
class Desk:
    """Sessions and tasks, a session that a run holds, and a person beside it."""

    tasks: Running
    person: Any
    session_id: str

    async def execute(self, url: str, actions: Sequence[dict[str, Any]]) -> task_pb2.Task:
        request = task_pb2.ExecuteTaskRequest(
            request_id="step", browser_session_id=self.session_id, block_path="orders"
        )
        request.spec.url = url
        request.spec.actions.extend(struct(one) for one in actions)
        async for answer in self.tasks.stub(TaskServiceStub, "workflow").ExecuteTask(request):
            if answer.HasField("finished"):
                return answer.finished
        raise AssertionError("the task did not finish")


@pytest.fixture
async def desk(tmp_path: Path, redis_url: str) -> AsyncIterator[Desk]:
    async with (
        running(BrowserSessionService, tmp_path, redis_url, browser_sweep_s=0.2) as sessions,
        running(TaskService, tmp_path, redis_url, {"browser_session": sessions.address}) as tasks,
    ):
        acquiring = session_pb.AcquireSessionRequest(run_id=ids.new("run"))
        stub = sessions.stub(BrowserSessionServiceStub, "run")
        held = (await stub.AcquireSession(acquiring, timeout=30)).session
        context.assign(run_id=held.run_id)
        person = sessions.stub(BrowserSessionServiceStub, "gateway")
        yield Desk(tasks, person, held.browser_session_id)


async def test_a_task_waits_while_a_person_acts_and_then_goes_on(desk: Desk) -> None:
    async with shop() as site:
        executing = asyncio.create_task(desk.execute(f"{site.url}/login", ACTIONS))
        await eventually(lambda: len(site.visits) == 1 or executing.done(), within=30)
        assert not executing.done(), executing.result().failure
        mine = {"browser_session_id": desk.session_id}
        taken = await desk.person.TakeControl(session_pb.TakeControlRequest(**mine, holder="Ada"))
        # What the agent waits for is there now; but the person is not done.
        site.state = "ready now"
        assert taken.control.agent_rests
        reload = session_pb.SendInputRequest(
            **mine,
            control_id=taken.control.control_id,
            events=[session_pb.InputEvent(type="reload")],
        )
        await desk.person.SendInput(reload)
        await eventually(lambda: len(site.visits) == 2, within=10)
        assert not site.orders
        await desk.person.ReturnControl(session_pb.ReturnControlRequest(**mine))
        task = await executing
        assert task.state == task_pb2.TASK_STATE_COMPLETED, task.failure
        assert len(site.orders) == 1


async def test_a_task_puts_an_artifact_into_a_page(desk: Desk) -> None:
    async with office() as site:
        sending = session_pb.UploadArtifactRequest(name="statement.pdf", data=b"%PDF-1")
        artifact_id = (await desk.person.UploadArtifact(sending)).artifact_id
        actions = (
            {"kind": "upload", "target": "Invoice file", "artifact_id": artifact_id},
            {"kind": "click", "target": "Send file"},
        )
        task = await desk.execute(f"{site.url}/page/upload", actions)
        assert task.state == task_pb2.TASK_STATE_COMPLETED, task.failure
        assert site.uploads == {"statement.pdf": b"%PDF-1"}
