"""The workflow service with a scripted task service, a small HTTP site, and its events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web
from google.protobuf import json_format

from libs import errors, ids, wire
from libs.outbox import outbox
from podium.common.v1 import event_pb2
from podium.task.v1 import task_pb2, task_pb2_grpc
from podium.workflow.v1 import workflow_pb2 as pb
from podium.workflow.v1 import workflow_pb2_grpc
from services.workflow.service import WorkflowService
from tests.support import mesh
from tests.support.eventually import eventually
from tests.support.serving import served

OVER = (
    pb.WORKFLOW_RUN_STATE_COMPLETED,
    pb.WORKFLOW_RUN_STATE_FAILED,
    pb.WORKFLOW_RUN_STATE_TERMINATED,
    pb.WORKFLOW_RUN_STATE_CANCELED,
)

Script = Callable[[task_pb2.ExecuteTaskRequest, task_pb2.Task], Awaitable[None]]


class ScriptedTasks(task_pb2_grpc.TaskServiceServicer):
    """A task service whose tasks do what a test says; like the real one it knows a request id."""

    def __init__(self) -> None:
        self.tasks: dict[str, task_pb2.Task] = {}
        self.calls: list[str] = []
        self.canceled: list[str] = []
        self.scripts: dict[str, Script] = {}
        self.break_streams = 0
        self.refuse: list[errors.PodiumError] = []
        self._running: dict[str, asyncio.Task[None]] = {}

    async def ExecuteTask(
        self, request: task_pb2.ExecuteTaskRequest, context: Any
    ) -> AsyncIterator[task_pb2.ExecuteTaskResponse]:
        self.calls.append(request.request_id)
        if self.refuse:
            raise self.refuse.pop(0)
        task = self.tasks.get(request.request_id)
        if task is None:
            task = task_pb2.Task(
                task_id=ids.new("task"),
                block_path=request.block_path,
                spec=request.spec,
                browser_session_id=request.browser_session_id,
                state=task_pb2.TASK_STATE_RUNNING,
            )
            self.tasks[request.request_id] = task
            work = asyncio.create_task(self._carry_out(request, task))
            self._running[request.request_id] = work
        yield task_pb2.ExecuteTaskResponse(started=task)
        if self.break_streams:
            self.break_streams -= 1
            raise errors.Unavailable("the replica went away")
        # The stream is one of many that wait for the task; its end does not end the task.
        await asyncio.wait({self._running[request.request_id]})
        yield task_pb2.ExecuteTaskResponse(finished=task)

    async def _carry_out(self, request: task_pb2.ExecuteTaskRequest, task: task_pb2.Task) -> None:
        script = self.scripts.get(request.block_path.rsplit(".", 1)[-1])
        try:
            if script is not None:
                await script(request, task)
        except asyncio.CancelledError:
            task.state = task_pb2.TASK_STATE_CANCELED
        if task.state == task_pb2.TASK_STATE_RUNNING:
            task.state = task_pb2.TASK_STATE_COMPLETED

    async def CancelTask(
        self, request: task_pb2.CancelTaskRequest, context: Any
    ) -> task_pb2.CancelTaskResponse:
        self.canceled.append(request.request_id)
        if request.request_id in self._running:
            self._running[request.request_id].cancel()
        return task_pb2.CancelTaskResponse()


def answers(output: Any) -> Script:
    async def script(_request: Any, task: task_pb2.Task) -> None:
        task.output.CopyFrom(wire.value(output))

    return script


def fails(
    reason: str, message: str, state: task_pb2.TaskState = task_pb2.TASK_STATE_FAILED
) -> Script:
    async def script(_request: Any, task: task_pb2.Task) -> None:
        task.state = state
        task.failure.reason, task.failure.message = reason, message
        task.failure.screenshot_artifact_id = "art_shot"

    return script


async def hangs(_request: Any, _task: Any) -> None:
    await asyncio.Event().wait()


async def never_answers(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


@dataclass
class Site:
    """A real HTTP server; answers by path and remembers what it was asked."""

    url: str = ""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    answers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(
        default_factory=dict
    )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.requests.append((request.method, request.path_qs, headers, body))
        answer = self.answers.get(request.path)
        if answer is not None:
            return await answer(request)
        return web.json_response({"path": request.path, "orders": [{"id": 1}, {"id": 2}]})


@dataclass
class Workflows:
    """The service under test and what a test does with it."""

    service: mesh.Running
    tasks: ScriptedTasks
    home: Path

    def stub(self, as_: str = "run", organization: str = "org_a") -> Any:
        return self.service.stub(workflow_pb2_grpc.WorkflowServiceStub, as_, organization)

    async def create(self, document: dict[str, Any], **parameters: Any) -> pb.WorkflowRun:
        response = await self.stub().CreateWorkflowRun(
            pb.CreateWorkflowRunRequest(
                run_id=ids.new("run"),
                document=wire.struct({"name": "test", **document}),
                parameters=wire.struct(parameters),
            )
        )
        return response.workflow_run

    async def start(self, document: dict[str, Any], **parameters: Any) -> str:
        run = await self.create(document, **parameters)
        await self.stub().StartWorkflowRun(
            pb.StartWorkflowRunRequest(
                workflow_run_id=run.workflow_run_id,
                browser_session_id=ids.new("bs") if run.needs_browser else "",
            )
        )
        return run.workflow_run_id

    async def get(self, workflow_run_id: str, organization: str = "org_a") -> pb.WorkflowRun:
        stub = self.stub(organization=organization)
        request = pb.GetWorkflowRunRequest(workflow_run_id=workflow_run_id)
        return (await stub.GetWorkflowRun(request)).workflow_run

    async def ended(self, workflow_run_id: str, within: float = 10.0) -> pb.WorkflowRun:
        async def over() -> pb.WorkflowRun | None:
            run = await self.get(workflow_run_id)
            return run if run.state in OVER else None

        return await eventually(over, within)

    async def carried_out(self, document: dict[str, Any], **parameters: Any) -> pb.WorkflowRun:
        return await self.ended(await self.start(document, **parameters))

    async def cancel(self, workflow_run_id: str, reason: str = "enough") -> pb.WorkflowRun:
        request = pb.CancelWorkflowRunRequest(workflow_run_id=workflow_run_id, reason=reason)
        return (await self.stub().CancelWorkflowRun(request)).workflow_run

    async def block(self, workflow_run_id: str, path: str) -> pb.BlockRun | None:
        found = [b for b in (await self.get(workflow_run_id)).blocks if b.block_path == path]
        return found[-1] if found else None

    async def events(self, workflow_run_id: str) -> list[tuple[str, dict[str, Any]]]:
        """What was published about a workflow run, in order."""
        query = sa.select(outbox.c.event).order_by(outbox.c.event_id)
        rows = await self.service.mesh.db.read(lambda tx: list(tx.execute(query)))
        events = [event_pb2.Event.FromString(row.event) for row in rows]
        return [
            (event.type, json_format.MessageToDict(event)["data"])
            for event in events
            if event.workflow_run_id == workflow_run_id
        ]


def states(run: pb.WorkflowRun) -> dict[str, str]:
    """The state of the last attempt at each block."""
    prefix = "BLOCK_RUN_STATE_"
    return {
        block.block_path: pb.BlockRunState.Name(block.state).removeprefix(prefix).lower()
        for block in run.blocks
    }


def block(label: str, kind: str, params: dict[str, Any] | None = None, **more: Any) -> dict:
    return {"label": label, "kind": kind, "params": params or {}, **more}


def page(label: str, **more: Any) -> dict[str, Any]:
    return block(label, "goto_url", {"url": "https://shop.test/"}, **more)


@pytest.fixture
def tasks() -> ScriptedTasks:
    return ScriptedTasks()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", site.handle)
    async with served(app) as site.url:
        yield site


@pytest.fixture
async def task_address(tasks: ScriptedTasks) -> AsyncIterator[str]:
    async with mesh.fake("task", tasks) as address:
        yield address


@pytest.fixture
def replica(
    tasks: ScriptedTasks, task_address: str, tmp_path: Path, redis_url: str
) -> Callable[..., Any]:
    """Opens a replica on the test's one database."""

    @asynccontextmanager
    async def opened(**more: Any) -> AsyncIterator[Workflows]:
        peers = {"task": task_address}
        async with mesh.running(WorkflowService, tmp_path, redis_url, peers, **more) as running:
            yield Workflows(running, tasks, tmp_path)

    return opened


@pytest.fixture
async def workflows(replica: Callable[..., Any]) -> AsyncIterator[Workflows]:
    async with replica() as opened:
        yield opened
