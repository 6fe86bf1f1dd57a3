"""A browser dies in the middle of a block: the block is run again, still signed in."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy import processes
from libs import ids
from podium.browser_session.v1 import browser_session_pb2 as session_pb
from podium.browser_session.v1.browser_session_pb2_grpc import BrowserSessionServiceStub
from podium.workflow.v1 import workflow_pb2 as pb
from podium.workflow.v1.workflow_pb2_grpc import WorkflowServiceStub
from services.browser_session.orphans import processes_of
from services.browser_session.service import BrowserSessionService
from services.task.service import TaskService
from services.workflow import wire
from services.workflow.service import WorkflowService
from tests.browser.test_session_service_killed import acquire
from tests.support.eventually import eventually
from tests.support.mesh import Running, running
from tests.support.processes import service_process
from tests.support.sites.shop import Shop, shop


@dataclass
class Stage:
    """The three services that a block in a page needs."""

    home: Path
    redis_url: str
    site: Shop
    sessions: Running
    workflows: Running

    async def acquire(self) -> session_pb.Session:
        stub = self.sessions.stub(BrowserSessionServiceStub, "run")
        request = session_pb.AcquireSessionRequest(run_id=ids.new("run"))
        return (await stub.AcquireSession(request, timeout=30)).session

    async def start(self, session: session_pb.Session, **orders: Any) -> str:
        """A run that signs in, and then orders once the site is ready."""
        blocks = [
            {"label": "login", "kind": "task", "params": {
                "url": f"{self.site.url}/login",
                "actions": [
                    {"kind": "fill", "target": "Name", "value": "ada"},
                    {"kind": "click", "target": "Sign in"},
                    {"kind": "wait_for", "text": "Orders of ada"},
                ],
            }},
            {"label": "orders", "kind": "task", **orders, "params": {
                "url": f"{self.site.url}/orders",
                "actions": [
                    {"kind": "wait_for", "text": "ready now", "timeout_ms": 30_000},
                    {"kind": "click", "target": "Order"},
                    {"kind": "wait_for", "text": "Ordered 1 times"},
                ],
            }},
        ]  # fmt: skip
        created = await self._stub().CreateWorkflowRun(
            pb.CreateWorkflowRunRequest(
                run_id=session.run_id, document=wire.struct({"name": "shop", "blocks": blocks})
            )
        )
        run_id = created.workflow_run.workflow_run_id
        await self._stub().StartWorkflowRun(
            pb.StartWorkflowRunRequest(
                workflow_run_id=run_id, browser_session_id=session.browser_session_id
            )
        )
        await eventually(lambda: len(self.site.visits) == 2, within=20)
        return run_id

    async def ended(self, run_id: str) -> pb.WorkflowRun:
        async def over() -> pb.WorkflowRun | None:
            request = pb.GetWorkflowRunRequest(workflow_run_id=run_id)
            run = (await self._stub().GetWorkflowRun(request)).workflow_run
            return run if run.HasField("end_time") else None

        return await eventually(over, within=30)

    def kill_browser(self, session: session_pb.Session) -> None:
        os.kill(
            min(processes_of(self.home / "browsers" / session.browser_session_id)), signal.SIGKILL
        )

    def kill_pages(self, session: session_pb.Session) -> None:
        browser = min(processes_of(self.home / "browsers" / session.browser_session_id))
        for pid in processes.descendants(browser):
            if b"--type=renderer" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)

    def _stub(self) -> Any:
        return self.workflows.stub(WorkflowServiceStub, "run")


@pytest.fixture
async def stage(tmp_path: Path, redis_url: str) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(shop())
        sessions = await stack.enter_async_context(
            running(BrowserSessionService, tmp_path, redis_url)
        )
        tasks = await stack.enter_async_context(
            running(TaskService, tmp_path, redis_url, {"browser_session": sessions.address})
        )
        workflows = await stack.enter_async_context(
            running(WorkflowService, tmp_path, redis_url, {"task": tasks.address})
        )
        yield Stage(tmp_path, redis_url, site, sessions, workflows)


def attempts(run: pb.WorkflowRun) -> list[tuple[str, int, str]]:
    return [
        (one.block_path, one.attempt, one.failure.reason or pb.BlockRunState.Name(one.state))
        for one in run.blocks
    ]


AGAIN = [
    ("login", 1, "BLOCK_RUN_STATE_COMPLETED"),
    ("orders", 1, "BROWSER_CRASHED"),
    ("orders", 2, "BLOCK_RUN_STATE_COMPLETED"),
]


async def test_a_block_whose_browser_was_killed_is_run_again_still_signed_in(stage: Stage) -> None:
    session = await stage.acquire()
    run_id = await stage.start(session)
    died = time.monotonic()
    stage.kill_browser(session)
    # Once for the page that was open when it died, once for the block's second attempt.
    await eventually(lambda: len(stage.site.visits) == 4, within=10)
    print(f"at it again after {time.monotonic() - died:.1f} s")
    assert time.monotonic() - died < 5
    stage.site.state = "ready now"
    run = await stage.ended(run_id)
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED, run.failure
    assert attempts(run) == AGAIN
    assert run.blocks[1].failure.category == "transient"
    assert (stage.site.logins, stage.site.orders) == (1, ["ada"])
    assert stage.site.visits == ["ada"] * 4


async def test_a_block_that_must_not_begin_twice_fails_with_its_browser(stage: Stage) -> None:
    session = await stage.acquire()
    run_id = await stage.start(session, resume="fail")
    stage.kill_browser(session)
    run = await stage.ended(run_id)
    assert run.state == pb.WORKFLOW_RUN_STATE_FAILED
    assert attempts(run) == AGAIN[:2]
    assert run.failure.reason == "BROWSER_CRASHED"


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.long)]
)
async def test_the_browsers_replica_is_killed_or_frozen(stage: Stage, number: int) -> None:
    with service_process("browser_session", stage.home, stage.redis_url) as doomed:
        session = await acquire(doomed)
        run_id = await stage.start(session)
        died = time.monotonic()
        doomed.signal(signal.Signals(number))
        await eventually(lambda: len(stage.site.visits) == 4, within=15)
        print(f"at it again after {time.monotonic() - died:.1f} s")
        stage.site.state = "ready now"
        run = await stage.ended(run_id)
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED, run.failure
    assert attempts(run) == AGAIN
    assert (stage.site.logins, stage.site.orders) == (1, ["ada"])


async def test_a_block_whose_page_crashed_is_run_again_in_the_same_browser(stage: Stage) -> None:
    session = await stage.acquire()
    run_id = await stage.start(session)
    stage.kill_pages(session)
    # Once for the page that took its place, once for the block's second attempt.
    await eventually(lambda: len(stage.site.visits) == 4, within=20)
    stage.site.state = "ready now"
    run = await stage.ended(run_id)
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED, run.failure
    assert attempts(run) == AGAIN
    assert (stage.site.logins, stage.site.orders) == (1, ["ada"])
