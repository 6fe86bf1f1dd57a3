"""A person takes the wheel in the middle of a task: the agent waits, then goes on."""

from __future__ import annotations

import asyncio

from libs import context, ids
from podium.browser_session.v1 import browser_session_pb2 as session_pb
from podium.browser_session.v1.browser_session_pb2_grpc import BrowserSessionServiceStub
from podium.task.v1 import task_pb2
from podium.task.v1.task_pb2_grpc import TaskServiceStub
from services.browser_session.service import BrowserSessionService
from services.task.service import TaskService
from services.task.wire import struct
from tests.support.eventually import eventually
from tests.support.mesh import running
from tests.support.sites.shop import shop

ACTIONS = (
    {"kind": "fill", "target": "Name", "value": "ada"},
    {"kind": "click", "target": "Sign in"},
    {"kind": "wait_for", "text": "Orders of ada"},
    {"kind": "wait_for", "text": "ready now", "timeout_ms": 30_000},
    {"kind": "click", "target": "Order"},
    {"kind": "wait_for", "text": "Ordered 1 times"},
)


async def test_a_task_waits_while_a_person_acts_and_then_goes_on(tmp_path, redis_url) -> None:
    async with (
        shop() as site,
        running(BrowserSessionService, tmp_path, redis_url, browser_sweep_s=0.2) as sessions,
        running(TaskService, tmp_path, redis_url, {"browser_session": sessions.address}) as tasks,
    ):
        run = sessions.stub(BrowserSessionServiceStub, "run")
        person = sessions.stub(BrowserSessionServiceStub, "gateway")
        acquiring = session_pb.AcquireSessionRequest(run_id=ids.new("run"))
        held = (await run.AcquireSession(acquiring, timeout=30)).session
        session_id = held.browser_session_id
        request = task_pb2.ExecuteTaskRequest(
            request_id="step", browser_session_id=session_id, block_path="orders"
        )
        request.spec.url = f"{site.url}/login"
        context.assign(run_id=held.run_id)
        request.spec.actions.extend(struct(one) for one in ACTIONS)
        executing = asyncio.create_task(_last(tasks, request))
        await eventually(lambda: len(site.visits) == 1 or executing.done(), within=30)
        assert not executing.done(), executing.result().failure
        taking = session_pb.TakeControlRequest(browser_session_id=session_id, holder="Ada")
        taken = await person.TakeControl(taking)
        # What the agent waits for is there now; but the person is not done.
        site.state = "ready now"
        assert await _rests(person, session_id)
        reload = session_pb.SendInputRequest(
            browser_session_id=session_id,
            control_id=taken.control.control_id,
            events=[session_pb.InputEvent(type="reload")],
        )
        await person.SendInput(reload)
        await eventually(lambda: len(site.visits) == 2, within=5)
        assert not site.orders
        returning = session_pb.ReturnControlRequest(browser_session_id=session_id)
        await person.ReturnControl(returning)
        task = await executing
        assert task.state == task_pb2.TASK_STATE_COMPLETED, task.failure
        assert len(site.orders) == 1


async def _rests(person, session_id: str) -> bool:
    asking = session_pb.GetActivityRequest(browser_session_id=session_id)
    return (await person.GetActivity(asking)).control.agent_rests


async def _last(tasks, request: task_pb2.ExecuteTaskRequest) -> task_pb2.Task:
    stub = tasks.stub(TaskServiceStub, "workflow")
    async for answer in stub.ExecuteTask(request):
        if answer.HasField("finished"):
            return answer.finished
    raise AssertionError("the task did not finish")
