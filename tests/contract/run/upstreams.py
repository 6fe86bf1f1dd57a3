"""Stand-ins for what run calls: workflow, browser_session and totp, each a real gRPC server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from libs import context, errors, ids
from libs.clock import Clock
from libs.events.redis import RedisBus
from podium.browser_session.v1 import browser_session_pb2 as bs
from podium.browser_session.v1 import browser_session_pb2_grpc as bs_grpc
from podium.common.v1 import event_pb2
from podium.totp.v1 import totp_pb2, totp_pb2_grpc
from podium.workflow.v1 import workflow_pb2 as wf
from podium.workflow.v1 import workflow_pb2_grpc as wf_grpc
from tests.support.mesh import fake

GOING = (
    wf.WORKFLOW_RUN_STATE_CREATED,
    wf.WORKFLOW_RUN_STATE_RUNNING,
    wf.WORKFLOW_RUN_STATE_PAUSED,
)


class Workflow(wf_grpc.WorkflowServiceServicer):
    """Keeps workflow runs in memory; `ending` says how a started one ends (None: not by itself)."""

    def __init__(self, redis: Redis) -> None:
        self.bus = RedisBus(redis, Clock())
        self.ending: dict[str, Any] | None = {"state": "completed", "output": {"answer": 42}}
        self.needs_browser = True
        self.runs: dict[str, wf.WorkflowRun] = {}
        self.made: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.calls: list[str] = []
        self.announce = True
        # What a pause or resume must have seen to be heeded, by workflow run.
        self.heeded: dict[str, int] = {}

    async def CreateWorkflowRun(self, request: Any, _context: Any) -> Any:
        self.calls.append("create")
        if request.workflow_id == "missing":
            raise errors.NotFound("workflow", "missing")
        if "bad" in request.parameters:
            raise errors.Invalid("parameters.bad", "is not a parameter of this workflow")
        made = wf.WorkflowRun(
            workflow_run_id=self.made.setdefault(request.run_id, ids.new("wfr")),
            run_id=request.run_id,
            workflow_id="wf_1",
            workflow_version=3,
            title="Orders",
            state=wf.WORKFLOW_RUN_STATE_CREATED,
            needs_browser=self.needs_browser,
        )
        self.owners[request.run_id] = context.organization()
        kept = self.runs.setdefault(made.workflow_run_id, made)
        return wf.CreateWorkflowRunResponse(workflow_run=kept)

    async def StartWorkflowRun(self, request: Any, _context: Any) -> Any:
        self.calls.append("start")
        run = self.runs[request.workflow_run_id]
        if run.state != wf.WORKFLOW_RUN_STATE_CREATED:
            return wf.StartWorkflowRunResponse(workflow_run=run)
        run.state = wf.WORKFLOW_RUN_STATE_RUNNING
        run.start_time.GetCurrentTime()
        run.browser_session_id = request.browser_session_id
        if self.ending is not None:
            await self.end(run, self.ending)
        return wf.StartWorkflowRunResponse(workflow_run=run)

    async def CancelWorkflowRun(self, request: Any, _context: Any) -> Any:
        self.calls.append("cancel")
        run = self.runs[request.workflow_run_id]
        if run.state in GOING:
            await self.end(run, {"state": "canceled"})
        return wf.CancelWorkflowRunResponse(workflow_run=run)

    async def PauseWorkflowRun(self, request: Any, _context: Any) -> Any:
        self.calls.append("pause")
        run = self.runs[request.workflow_run_id]
        if run.state in GOING and self._heeds(request):
            run.pause_requested = True
        return wf.PauseWorkflowRunResponse(workflow_run=run)

    async def ResumeWorkflowRun(self, request: Any, _context: Any) -> Any:
        self.calls.append("resume")
        run = self.runs[request.workflow_run_id]
        if self._heeds(request):
            run.pause_requested = False
            if run.state == wf.WORKFLOW_RUN_STATE_PAUSED:
                run.state = wf.WORKFLOW_RUN_STATE_RUNNING
        return wf.ResumeWorkflowRunResponse(workflow_run=run)

    def _heeds(self, request: Any) -> bool:
        if request.as_of_sequence < self.heeded.get(request.workflow_run_id, 0):
            return False
        self.heeded[request.workflow_run_id] = request.as_of_sequence
        return True

    async def boundary(self, run: wf.WorkflowRun | None = None) -> None:
        """The engine reaches a block boundary: it rests there if it was asked to."""
        run = run or next(iter(self.runs.values()))
        if run.pause_requested:
            run.state = wf.WORKFLOW_RUN_STATE_PAUSED
            if self.announce:
                await self.publish("workflow_run.paused", run.run_id, {})

    async def GetWorkflowRun(self, request: Any, _context: Any) -> Any:
        self.calls.append("get")
        return wf.GetWorkflowRunResponse(workflow_run=self.runs[request.workflow_run_id])

    async def end(self, run: wf.WorkflowRun, ending: dict[str, Any]) -> None:
        state: Any = wf.WorkflowRunState.Value("WORKFLOW_RUN_STATE_" + ending["state"].upper())
        run.state = state
        run.output.update(ending.get("output", {}))
        if self.announce:
            await self.publish("workflow_run.finished", run.run_id, ending)

    async def publish(self, type_: str, run_id: str, data: dict[str, Any]) -> event_pb2.Event:
        event = self.event(type_, run_id, data)
        await self.bus.publish("workflow", [event])
        return event

    def event(
        self, type_: str, run_id: str, data: dict[str, Any], after: str = ""
    ) -> event_pb2.Event:
        """An event about a run that follows another."""
        event = event_pb2.Event(
            event_id=ids.new("evt"),
            type=type_,
            source="workflow",
            organization_id=self.owners[run_id],
            run_id=run_id,
            previous_event_id=after,
        )
        event.occurred_at.GetCurrentTime()
        event.data.update(data)
        return event


class Browser(bs_grpc.BrowserSessionServiceServicer):
    """Gives out sessions, or refuses."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.held: dict[str, str] = {}
        self.given: set[str] = set()
        self.acquired: list[bs.AcquireSessionRequest] = []
        self.checked: list[bs.CheckOptionsRequest] = []
        # What is wrong with the options that somebody asks about.
        self.wrong: list[tuple[str, str]] = []
        self.missing_profile = ""
        self.refusal: Exception | None = None
        self.release_refusal: Exception | None = None
        self.asked = asyncio.Event()
        # While these are there and not set, the answers wait.
        self.acquiring: asyncio.Event | None = None
        self.releasing: asyncio.Event | None = None

    async def CheckOptions(self, request: Any, _context: Any) -> Any:
        self.checked.append(request)
        if self.wrong:
            raise errors.Invalid.many(self.wrong)
        if self.missing_profile:
            raise errors.NotFound("browser profile", self.missing_profile)
        return bs.CheckOptionsResponse()

    async def AcquireSession(self, request: Any, _context: Any) -> Any:
        self.calls.append("acquire")
        self.acquired.append(request)
        self.asked.set()
        if self.acquiring is not None:
            await self.acquiring.wait()
        if self.refusal is not None:
            raise self.refusal
        session_id = self.held.setdefault(request.run_id, ids.new("bs"))
        self.given.add(session_id)
        return bs.AcquireSessionResponse(session=bs.Session(browser_session_id=session_id))

    async def ReleaseSession(self, request: Any, _context: Any) -> Any:
        self.calls.append("release")
        if self.releasing is not None:
            await self.releasing.wait()
        if self.release_refusal is not None:
            raise self.release_refusal
        self.held.pop(request.run_id, None)
        return bs.ReleaseSessionResponse()


class Totp(totp_pb2_grpc.TotpServiceServicer):
    """Counts cancelled challenges."""

    async def CancelChallenges(self, _request: Any, _context: Any) -> Any:
        return totp_pb2.CancelChallengesResponse()


class Upstreams:
    """All three, with their addresses."""

    def __init__(self, redis: Redis) -> None:
        self.workflow = Workflow(redis)
        self.browser = Browser()
        self.totp = Totp()
        self.peers: dict[str, str] = {}


@asynccontextmanager
async def upstreams(redis_url: str) -> AsyncIterator[Upstreams]:
    """Serves the stand-ins inside the block."""
    redis = Redis.from_url(redis_url)
    made = Upstreams(redis)
    async with AsyncExitStack() as stack:
        for name, servicer in (
            ("workflow", made.workflow),
            ("browser_session", made.browser),
            ("totp", made.totp),
        ):
            made.peers[name] = await stack.enter_async_context(fake(name, servicer))
        yield made
    await redis.aclose()
