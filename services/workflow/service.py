"""The door for calls: request → domain → response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from libs import context, egress, errors, ids, pages, telemetry
from libs.db import Database, Tx
from libs.rpc.mesh import Mesh
from libs.wire import plain
from podium.task.v1 import task_pb2_grpc
from podium.workflow.v1 import workflow_pb2 as pb
from podium.workflow.v1 import workflow_pb2_grpc

from . import document, steering, store, wire
from .blocks import BLOCKS
from .definitions import Definitions
from .document import Definition
from .domain import RunState, Version, WorkflowRun, digest_of
from .engine import DUE, Engine
from .execution import Tools
from .parameters import check_values
from .source import MAX_BYTES
from .store import blocks, definitions, runs
from .tasks import Tasks

# The engine keeps the time of a request; this only bounds a session's worst case.
LONGEST_REQUEST_S = 3600.0


class WorkflowService(workflow_pb2_grpc.WorkflowServiceServicer):
    """Workflow definitions and workflow runs."""

    tables = store.METADATA

    def __init__(self, database: Database) -> None:
        self._db = database
        self._definitions = Definitions(database)

    @classmethod
    @asynccontextmanager
    async def open(cls, mesh: Mesh) -> AsyncIterator[WorkflowService]:
        """The service with its engine running."""
        service = cls(mesh.db)
        async with egress.session(mesh.settings, total_timeout_s=LONGEST_REQUEST_S) as http:
            tasks = Tasks(mesh.stub(task_pb2_grpc.TaskServiceStub), mesh.clock)
            engine = Engine(
                mesh.db,
                mesh.signals,
                mesh.replica,
                service._definitions,
                Tools(mesh.clock, tasks, http),
                recoveries=mesh.recoveries,
                lease_ttl_s=mesh.settings.lease_ttl_s,
            )
            mesh.on_drain(engine.drain)
            mesh.spawn(engine.run(), "engine")
            yield service

    # Definitions

    async def CreateWorkflow(
        self, request: pb.CreateWorkflowRequest, context_: Any
    ) -> pb.CreateWorkflowResponse:
        organization_id = context.organization()
        definition = await _read_definition(request)
        workflow_id = ids.new("wf")

        def create(tx: Tx) -> Version:
            if definitions.name_is_taken(tx, organization_id, definition.name):
                raise _taken(definition.name)
            made = _version(tx, organization_id, workflow_id, 1, definition)
            definitions.add_workflow(tx, made)
            return made

        try:
            version = await self._db.write(create)
        except store.Duplicate:
            raise _taken(definition.name) from None
        self._definitions.put(workflow_id, 1, definition)
        return pb.CreateWorkflowResponse(workflow=wire.workflow(version, definition))

    async def UpdateWorkflow(
        self, request: pb.UpdateWorkflowRequest, context_: Any
    ) -> pb.UpdateWorkflowResponse:
        organization_id = context.organization()
        definition = await _read_definition(request)

        def update(tx: Tx) -> Version:
            newest = _resolve(tx, organization_id, request.workflow_id, 0)
            if definition.name != newest.name:
                raise errors.Invalid("name", f"must stay {newest.name!r}")
            if request.etag and request.etag != newest.etag:
                raise _changed(newest)
            if newest.digest == digest_of(definition.document):
                return newest
            made = _version(
                tx, organization_id, newest.workflow_id, newest.version + 1, definition, newest
            )
            if not definitions.replace_version(tx, made):
                raise _changed(newest)
            return made

        version = await self._db.write(update)
        self._definitions.put(version.workflow_id, version.version, definition)
        return pb.UpdateWorkflowResponse(workflow=wire.workflow(version, definition))

    async def GetWorkflow(
        self, request: pb.GetWorkflowRequest, context_: Any
    ) -> pb.GetWorkflowResponse:
        organization_id = context.organization()
        if request.version < 0:
            raise errors.Invalid("version", "must not be negative")
        version = await self._db.read(
            lambda tx: _resolve(tx, organization_id, request.workflow_id, request.version)
        )
        return pb.GetWorkflowResponse(workflow=await self._as_message(version))

    async def ListWorkflows(
        self, request: pb.ListWorkflowsRequest, context_: Any
    ) -> pb.ListWorkflowsResponse:
        organization_id = context.organization()
        size, after = pages.size(request.page_size), pages.after(request.page_token)
        found = await self._db.read(
            lambda tx: definitions.list_newest(tx, organization_id, after, size + 1)
        )
        shown, more = pages.cut(found, size, lambda one: (one.name,))
        return pb.ListWorkflowsResponse(
            workflows=[await self._as_message(version) for version in shown],
            next_page_token=more,
        )

    async def DeleteWorkflow(
        self, request: pb.DeleteWorkflowRequest, context_: Any
    ) -> pb.DeleteWorkflowResponse:
        organization_id = context.organization()
        name = _named(request.workflow_id)
        if not await self._db.write(lambda tx: definitions.retire(tx, organization_id, name)):
            raise errors.NotFound("workflow", name)
        return pb.DeleteWorkflowResponse()

    async def ListBlockKinds(
        self, request: pb.ListBlockKindsRequest, context_: Any
    ) -> pb.ListBlockKindsResponse:
        return pb.ListBlockKindsResponse(
            block_kinds=[wire.block_kind(BLOCKS[kind]) for kind in sorted(BLOCKS)]
        )

    # Workflow runs

    async def CreateWorkflowRun(
        self, request: pb.CreateWorkflowRunRequest, context_: Any
    ) -> pb.CreateWorkflowRunResponse:
        organization_id = context.organization()
        run_id = ids.check("run_id", "run", request.run_id)
        known = await self._db.read(lambda tx: runs.run_of(tx, organization_id, run_id))
        if known is not None:
            return pb.CreateWorkflowRunResponse(workflow_run=wire.workflow_run(known))
        fresh = await self._fresh_run(run_id, request)

        def create(tx: Tx) -> WorkflowRun:
            known = runs.run_of(tx, organization_id, run_id)
            if known is None:
                runs.add_run(tx, fresh, tx.now)
            return known or replace(fresh, created_at=tx.now)

        try:
            run = await self._db.write(create)
        except store.Duplicate:
            # The same call at another replica was faster.
            known = await self._db.read(lambda tx: runs.run_of(tx, organization_id, run_id))
            if known is None:
                raise
            run = known
        return pb.CreateWorkflowRunResponse(workflow_run=wire.workflow_run(run))

    async def StartWorkflowRun(
        self, request: pb.StartWorkflowRunRequest, context_: Any
    ) -> pb.StartWorkflowRunResponse:
        organization_id = context.organization()
        workflow_run_id = ids.check("workflow_run_id", "wfr", request.workflow_run_id)
        session_id = request.browser_session_id
        if session_id:
            ids.check("browser_session_id", "bs", session_id)

        def start(tx: Tx) -> WorkflowRun:
            run = _run(tx, organization_id, workflow_run_id)
            if run.started_at is not None:
                return run
            if run.is_over:
                raise errors.FailedPrecondition(
                    "the workflow run was canceled before it began",
                    reason="WORKFLOW_RUN_FINISHED",
                )
            if run.needs_browser and not session_id:
                raise errors.Invalid("browser_session_id", "is required: a block needs a page")
            tx.notify(DUE)
            started = runs.start_run(tx, organization_id, workflow_run_id, session_id)
            return started or _run(tx, organization_id, workflow_run_id)

        run = await self._db.write(start)
        return pb.StartWorkflowRunResponse(workflow_run=wire.workflow_run(run))

    async def CancelWorkflowRun(
        self, request: pb.CancelWorkflowRunRequest, context_: Any
    ) -> pb.CancelWorkflowRunResponse:
        organization_id = context.organization()
        workflow_run_id = ids.check("workflow_run_id", "wfr", request.workflow_run_id)
        reason = request.reason[:500].replace("\0", "")

        run = await self._db.write(
            lambda tx: steering.cancel(tx, organization_id, workflow_run_id, reason)
        )
        return pb.CancelWorkflowRunResponse(workflow_run=wire.workflow_run(run))

    async def PauseWorkflowRun(
        self, request: pb.PauseWorkflowRunRequest, context_: Any
    ) -> pb.PauseWorkflowRunResponse:
        organization_id = context.organization()
        key = ids.check("workflow_run_id", "wfr", request.workflow_run_id)
        as_of = request.as_of_sequence
        run = await self._db.write(lambda tx: steering.pause(tx, organization_id, key, as_of))
        return pb.PauseWorkflowRunResponse(workflow_run=wire.workflow_run(run))

    async def ResumeWorkflowRun(
        self, request: pb.ResumeWorkflowRunRequest, context_: Any
    ) -> pb.ResumeWorkflowRunResponse:
        organization_id = context.organization()
        key = ids.check("workflow_run_id", "wfr", request.workflow_run_id)
        as_of = request.as_of_sequence
        run = await self._db.write(lambda tx: steering.resume(tx, organization_id, key, as_of))
        return pb.ResumeWorkflowRunResponse(workflow_run=wire.workflow_run(run))

    async def GetWorkflowRun(
        self, request: pb.GetWorkflowRunRequest, context_: Any
    ) -> pb.GetWorkflowRunResponse:
        organization_id = context.organization()
        workflow_run_id = ids.check("workflow_run_id", "wfr", request.workflow_run_id)
        run, done = await self._db.read(
            lambda tx: (
                _run(tx, organization_id, workflow_run_id),
                blocks.blocks_of(tx, organization_id, workflow_run_id),
            )
        )
        return pb.GetWorkflowRunResponse(workflow_run=wire.workflow_run(run, done))

    async def _as_message(self, version: Version) -> pb.Workflow:
        definition = await self._definitions.of_version(
            version.organization_id, version.workflow_id, version.version
        )
        assert definition is not None
        return wire.workflow(version, definition)

    async def _fresh_run(self, run_id: str, request: pb.CreateWorkflowRunRequest) -> WorkflowRun:
        """The workflow run that is asked for, its parameters checked."""
        workflow_id, version, definition = await self._target(request)
        values, wrong = check_values(definition.parameters, plain(request.parameters))
        if wrong:
            raise errors.Invalid.many(wrong)
        return WorkflowRun(
            workflow_run_id=ids.new("wfr"),
            organization_id=context.organization(),
            run_id=run_id,
            workflow_id=workflow_id,
            version=version,
            document=None if workflow_id else definition.document,
            title=definition.title,
            state=RunState.CREATED,
            needs_browser=definition.needs_browser,
            parameters=values,
            request_id=context.current().request_id,
            traceparent=telemetry.traceparent(),
        )

    async def _target(self, request: pb.CreateWorkflowRunRequest) -> tuple[str, int, Definition]:
        """What is to be carried out: a version of a saved workflow, or an inline document."""
        organization_id = context.organization()
        kind = request.WhichOneof("target")
        if kind is None:
            raise errors.Invalid("target", "needs a workflow_id or a document")
        if kind == "document":
            if request.workflow_version:
                raise errors.Invalid("workflow_version", "goes with a workflow_id only")
            _check_size(request.document.ByteSize(), "document")
            inline = await self._definitions.of_document(plain(request.document))
            return "", 0, inline
        if request.workflow_version < 0:
            raise errors.Invalid("workflow_version", "must not be negative")
        name = _named(request.workflow_id)
        found = await self._db.read(lambda tx: definitions.resolve(tx, organization_id, name))
        if found is None:
            raise errors.NotFound("workflow", name)
        workflow_id, newest = found
        number = request.workflow_version or newest
        definition = await self._definitions.of_version(organization_id, workflow_id, number)
        if definition is None:
            raise errors.NotFound(f"version {number} of workflow", name)
        return workflow_id, number, definition


async def _read_definition(
    request: pb.CreateWorkflowRequest | pb.UpdateWorkflowRequest,
) -> Definition:
    kind = request.WhichOneof("definition")
    if kind is None:
        raise errors.Invalid("definition", "needs a source or a document")
    if kind == "source":
        return await asyncio.to_thread(document.from_text, request.source)
    _check_size(request.document.ByteSize(), "document")
    value = plain(request.document)
    return await asyncio.to_thread(document.from_value, value)


def _check_size(size: int, field: str) -> None:
    if size > MAX_BYTES:
        raise errors.Invalid(field, f"is larger than {MAX_BYTES} bytes")


def _version(
    tx: Tx,
    organization_id: str,
    workflow_id: str,
    number: int,
    definition: Definition,
    before: Version | None = None,
) -> Version:
    return Version(
        workflow_id=workflow_id,
        organization_id=organization_id,
        name=definition.name,
        version=number,
        document=definition.document,
        digest=digest_of(definition.document),
        created_at=before.created_at if before else tx.now,
        updated_at=tx.now,
    )


def _resolve(tx: Tx, organization_id: str, name: str, number: int) -> Version:
    """One version of the workflow with an id or name; 0 is the newest."""
    found = definitions.resolve(tx, organization_id, _named(name))
    if found is None:
        raise errors.NotFound("workflow", name[:100])
    version = definitions.version(tx, organization_id, found[0], number or found[1])
    if version is None:
        raise errors.NotFound(f"version {number} of workflow", name[:100])
    return version


def _run(tx: Tx, organization_id: str, workflow_run_id: str) -> WorkflowRun:
    run = runs.get_run(tx, organization_id, workflow_run_id)
    if run is None:
        raise errors.NotFound("workflow run", workflow_run_id)
    return run


def _named(workflow_id: str) -> str:
    if not workflow_id:
        raise errors.Invalid("workflow_id", "is required: the id or name of a workflow")
    if len(workflow_id) > 100 or not workflow_id.isprintable():
        raise errors.Invalid("workflow_id", "must be the id or name of a workflow")
    return workflow_id


def _taken(name: str) -> errors.Conflict:
    return errors.Conflict(f"there is a workflow {name!r} already", reason="WORKFLOW_EXISTS")


def _changed(newest: Version) -> errors.Aborted:
    return errors.Aborted(
        f"the workflow was changed meanwhile: its etag is {newest.etag!r}",
        reason="ETAG_MISMATCH",
    )
