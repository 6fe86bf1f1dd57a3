"""The door for calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from libs import context as contexts
from libs import errors, ids, pages, telemetry
from libs.rpc.mesh import Mesh
from libs.secrets import Secret
from libs.worker import Worker
from podium.browser_session.v1.browser_session_pb2_grpc import BrowserSessionServiceStub
from podium.task.v1 import task_pb2 as pb
from podium.task.v1 import task_pb2_grpc
from podium.totp.v1.totp_pb2_grpc import TotpServiceStub
from services.task import store, wire
from services.task.agent import Agent
from services.task.browsers import Browsers
from services.task.domain import Task, TaskState
from services.task.errand import Tools
from services.task.events import BrowserEvents
from services.task.hands import Hands
from services.task.llm import ChatModel
from services.task.neighbours import MeshCodes, MeshSession, Wheel
from services.task.planner import Planner
from services.task.planner.llm import LlmPlanner, LlmReader
from services.task.planner.rules import RulePlanner
from services.task.settings import TaskSettings

FOLLOW_SWEEP_S = 1.0


class TaskService(task_pb2_grpc.TaskServiceServicer):
    """Tasks over gRPC."""

    tables = store.METADATA
    settings = TaskSettings

    def __init__(self, mesh: Mesh, hands: Hands) -> None:
        self._mesh = mesh
        self._hands = hands
        self._db = mesh.db
        self.subscriptions = [BrowserEvents(mesh.db).subscription()]

    @classmethod
    @asynccontextmanager
    async def open(cls, mesh: Mesh) -> AsyncIterator[TaskService]:
        """The service with its agent at work."""
        settings = mesh.settings
        assert isinstance(settings, TaskSettings)
        sessions = mesh.stub(BrowserSessionServiceStub)
        browsers = Browsers(sessions, mesh.clock, mesh.signals, mesh.certificates)
        model = _model(settings, mesh)
        tools = Tools(
            browsers=browsers,
            session=lambda session_id: MeshSession(sessions, session_id),
            codes=MeshCodes(mesh.stub(TotpServiceStub)),
            planners=_planners(model),
            reader=LlmReader(model) if model else None,
            clock=mesh.clock,
        )
        worker = Worker(
            "agent",
            database=mesh.db,
            signals=mesh.signals,
            clock=mesh.clock,
            owner=mesh.replica,
            topic=store.TOPIC,
            table=store.tasks,
            key_column="task_id",
            due=store.due,
            perform=Agent(tools, mesh.db, mesh.signals, mesh.clock).perform,
            concurrency=settings.task_concurrency,
            recoveries=mesh.recoveries,
            ttl_s=settings.lease_ttl_s,
        )
        mesh.spawn(worker.run(), "agent")
        mesh.on_drain(worker.drain)
        browsers.warm()
        try:
            yield cls(mesh, Hands(tools, Wheel(sessions)))
        finally:
            await browsers.close()
            if model is not None:
                await model.close()

    async def ExecuteTask(
        self, request: pb.ExecuteTaskRequest, context: Any
    ) -> AsyncIterator[pb.ExecuteTaskResponse]:
        task = await self._written_down(request)
        yield pb.ExecuteTaskResponse(started=wire.task(task))
        told = 0
        async with self._mesh.signals.subscribe(store.follow_topic(task.task_id)) as changed:
            while True:
                task, news = await self._news(task.task_id, told)
                for record in news:
                    if not record.is_over:
                        break
                    told = record.number
                    yield pb.ExecuteTaskResponse(action=wire.action(record))
                if task.is_over:
                    break
                await changed.wait(FOLLOW_SWEEP_S)
        task, records = await self._news(task.task_id, 0)
        yield pb.ExecuteTaskResponse(finished=wire.task(task, records))

    async def ExecuteActions(
        self, request: pb.ExecuteActionsRequest, context: Any
    ) -> pb.ExecuteActionsResponse:
        return wire.done(await self._hands.perform(wire.order_of(request)))

    async def CancelTask(
        self, request: pb.CancelTaskRequest, context: Any
    ) -> pb.CancelTaskResponse:
        organization_id = contexts.organization()
        if not request.task_id and not request.request_id:
            raise errors.Invalid("task_id", "give task_id or request_id")
        reason = request.reason[:500]

        def unit(tx: Any) -> Task | None:
            if request.task_id:
                task = store.get(tx, organization_id, request.task_id)
            else:
                task = store.of_request(tx, organization_id, request.request_id)
            if task is None or task.is_over:
                return task
            store.cancel(tx, task, reason)
            return store.get(tx, organization_id, task.task_id)

        found = await self._db.write(unit)
        return pb.CancelTaskResponse(task=wire.task(found) if found else None)

    async def GetTask(self, request: pb.GetTaskRequest, context: Any) -> pb.GetTaskResponse:
        task_id = ids.check("task_id", "task", request.task_id)
        task, records = await self._news(task_id, 0)
        return pb.GetTaskResponse(task=wire.task(task, records))

    async def ListTasks(self, request: pb.ListTasksRequest, context: Any) -> pb.ListTasksResponse:
        organization_id, size = contexts.organization(), pages.size(request.page_size)
        before = pages.after(request.page_token)
        if request.run_id:
            ids.check("run_id", "run", request.run_id)
        found = await self._db.read(
            lambda tx: store.page(tx, organization_id, request.run_id, before, size + 1)
        )
        shown, more = pages.cut(found, size, lambda one: (one.task_id,))
        return pb.ListTasksResponse(tasks=map(wire.task, shown), next_page_token=more)

    async def ListActionKinds(
        self, request: pb.ListActionKindsRequest, context: Any
    ) -> pb.ListActionKindsResponse:
        return pb.ListActionKindsResponse(action_kinds=wire.action_kinds())

    async def _written_down(self, request: pb.ExecuteTaskRequest) -> Task:
        spec = wire.spec_of(request)
        present = contexts.current()
        task = Task(
            task_id=ids.new("task"),
            organization_id=contexts.organization(),
            request_id=request.request_id,
            spec=spec,
            browser_session_id=request.browser_session_id,
            state=TaskState.QUEUED,
            created_at=self._mesh.clock.now(),
            run_id=present.run_id,
            workflow_run_id=present.workflow_run_id,
            block_path=request.block_path,
        )
        origin = {"request_id": present.request_id, "traceparent": telemetry.traceparent()}
        digest = wire.request_hash(spec)
        return await self._db.write(lambda tx: store.create(tx, task, digest, origin))

    async def _news(self, task_id: str, after: int) -> tuple[Task, list[Any]]:
        organization_id = contexts.organization()
        return await self._db.read(
            lambda tx: (
                store.get(tx, organization_id, task_id),
                store.actions_of(tx, organization_id, task_id, after),
            )
        )


def _model(settings: TaskSettings, mesh: Mesh) -> ChatModel | None:
    if not settings.llm_base_url:
        return None
    api_key = Secret(settings.llm_api_key.get_secret_value())
    return ChatModel(settings.llm_base_url, api_key, settings.llm_model, mesh.clock)


def _planners(model: ChatModel | None) -> dict[str, Planner]:
    planners: dict[str, Planner] = {"rules": RulePlanner()}
    return planners | {"llm": LlmPlanner(model)} if model else planners
