"""The door for calls: request → domain → answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from libs import context, db, errors, history, ids, pages, telemetry
from libs.rpc.mesh import Mesh
from libs.worker import Worker
from podium.browser_session.v1 import browser_session_pb2_grpc
from podium.run.v1 import run_pb2, run_pb2_grpc
from podium.totp.v1 import totp_pb2_grpc
from podium.workflow.v1 import workflow_pb2, workflow_pb2_grpc
from services.run import audit, projection, steering, store, wire
from services.run.domain import (
    CREATE_WORKFLOW_RUN,
    Run,
    RunState,
    fresh_steps,
    queued,
)
from services.run.events import Reports
from services.run.record import note
from services.run.saga import Saga
from services.run.steps import Others, Steps

# Safety net of the streams; a commit wakes them at once.
RECHECK_S = 5.0
CONCURRENT_SAGAS = 500


class RunService(run_pb2_grpc.RunServiceServicer):
    """Accepts runs, carries them by their saga, and shows how they go."""

    tables = store.METADATA
    sealed = store.SEALED

    def __init__(self, mesh: Mesh, others: Others) -> None:
        self._mesh = mesh
        self._db = mesh.db
        self._workflow = others.workflow
        self._browser_session = others.browser_session
        self.subscriptions = Reports(mesh.db, mesh.signals).subscriptions()

    @classmethod
    @asynccontextmanager
    async def open(cls, mesh: Mesh) -> AsyncIterator[Self]:
        """The service with its saga worker."""
        others = Others(
            workflow=mesh.stub(workflow_pb2_grpc.WorkflowServiceStub),
            browser_session=mesh.stub(browser_session_pb2_grpc.BrowserSessionServiceStub),
            totp=mesh.stub(totp_pb2_grpc.TotpServiceStub),
        )
        steps = Steps(mesh.db, mesh.signals, others, mesh.vault)
        saga = Saga(mesh.db, mesh.signals, mesh.clock, steps)
        worker = Worker(
            "saga",
            database=mesh.db,
            signals=mesh.signals,
            clock=mesh.clock,
            owner=mesh.replica,
            topic=store.DUE_TOPIC,
            table=store.runs,
            key_column="run_id",
            due=store.due,
            perform=saga.perform,
            concurrency=CONCURRENT_SAGAS,
            recoveries=mesh.recoveries,
            ttl_s=mesh.settings.lease_ttl_s,
        )
        mesh.spawn(worker.run(), "saga-worker")
        mesh.on_drain(worker.drain)
        yield cls(mesh, others)

    async def CreateRun(
        self, request: run_pb2.CreateRunRequest, _context: Any
    ) -> run_pb2.CreateRunResponse:
        """Accepts a run, or answers the one that its key made."""
        wire.checked(request)
        timeout = wire.run_timeout(request)
        if request.browser_session_id:
            ids.check("browser_session_id", "bs", request.browser_session_id)
        if (known := await self._by_key(request)) is not None:
            return _created(known)
        await self._check_wish(request)
        run_id = ids.new("run")
        with context.bind(run_id=run_id):
            # The workflow service checks the target and the parameters before anything is kept.
            answer = await self._workflow.CreateWorkflowRun(
                wire.workflow_run_order(run_id, request)
            )
            session, whole = wire.wish(request)
            sealed = self._mesh.vault.seal(whole, store.wish_place(run_id)) if whole else b""
            wish = _Wish(session, sealed)
            accept = _Acceptance(request, run_id, answer.workflow_run, timeout, wish)
            try:
                return _created(await self._db.write(accept))
            except errors.Conflict:
                # Somebody was faster with the same key.
                await self._abandon(answer.workflow_run.workflow_run_id)
                known = await self._by_key(request)
                if known is None:
                    raise
                return _created(known)

    async def _check_wish(self, request: run_pb2.CreateRunRequest) -> None:
        """Raises what is wrong with the session that the run asks for."""
        if not request.HasField("session"):
            return
        try:
            await self._browser_session.CheckOptions(wire.check_options(request.session))
        except errors.Invalid as wrong:
            named = [(f"session.{field}", why) for field, why in wrong.violations]
            raise errors.Invalid.many(named) from None

    async def _by_key(self, request: run_pb2.CreateRunRequest) -> Run | None:
        key = request.idempotency_key
        if not key:
            return None
        found = await self._db.read(lambda tx: store.by_key(tx, key))
        if found is None:
            return None
        run, request_hash = found
        if request_hash != wire.request_hash(request):
            raise errors.Conflict(
                f"idempotency_key {key!r} was used for another request, which made {run.run_id}",
                reason="IDEMPOTENCY_CONFLICT",
                metadata={"run_id": run.run_id},
            )
        return run

    async def _abandon(self, workflow_run_id: str) -> None:
        reason = "its run was not accepted"
        await self._workflow.CancelWorkflowRun(wire.cancel_workflow_run(workflow_run_id, reason))

    async def GetRun(self, request: run_pb2.GetRunRequest, _context: Any) -> run_pb2.GetRunResponse:
        """The run as it stands."""
        return run_pb2.GetRunResponse(run=wire.run(await self._get(request.run_id)))

    async def ListRuns(
        self, request: run_pb2.ListRunsRequest, _context: Any
    ) -> run_pb2.ListRunsResponse:
        """A page of runs."""
        size = pages.size(request.page_size)
        states = wire.states(request.states)

        def query(tx: db.Tx) -> tuple[list[Run], str]:
            return store.page(
                tx,
                size=size,
                token=request.page_token,
                states=states,
                workflow_id=request.workflow_id,
            )

        found, next_token = await self._db.read(query)
        return run_pb2.ListRunsResponse(
            runs=[wire.run(run) for run in found], next_page_token=next_token
        )

    async def CancelRun(
        self, request: run_pb2.CancelRunRequest, _context: Any
    ) -> run_pb2.CancelRunResponse:
        """Writes down that the run is to stop, and wakes its saga."""
        run_id, reason = ids.check("run_id", "run", request.run_id), wire.reason(request.reason)
        run = await self._db.write(lambda tx: steering.cancel(tx, run_id, reason))
        return run_pb2.CancelRunResponse(run=wire.run(run))

    async def PauseRun(
        self, request: run_pb2.PauseRunRequest, _context: Any
    ) -> run_pb2.PauseRunResponse:
        """Writes down that the run is to rest at the next block boundary, and wakes its saga."""
        run_id, reason = ids.check("run_id", "run", request.run_id), wire.reason(request.reason)
        run = await self._db.write(lambda tx: steering.pause(tx, run_id, reason))
        return run_pb2.PauseRunResponse(run=wire.run(run))

    async def ResumeRun(
        self, request: run_pb2.ResumeRunRequest, _context: Any
    ) -> run_pb2.ResumeRunResponse:
        """Lets the run go on."""
        run_id = ids.check("run_id", "run", request.run_id)
        run = await self._db.write(lambda tx: steering.resume(tx, run_id))
        return run_pb2.ResumeRunResponse(run=wire.run(run))

    async def RebuildRun(
        self, request: run_pb2.RebuildRunRequest, _context: Any
    ) -> run_pb2.RebuildRunResponse:
        """Compares the run with what its history says, and repairs it if asked to."""
        run_id = ids.check("run_id", "run", request.run_id)
        found = await self._db.read(lambda tx: audit.looked_at(tx, run_id))
        if found.result is not audit.Result.IDENTICAL:
            repair = not request.verify_only
            found = await self._db.write(lambda tx: audit.examined(tx, run_id, repair=repair))
        return wire.rebuilt(run_id, found)

    async def ListAlerts(
        self, request: run_pb2.ListAlertsRequest, _context: Any
    ) -> run_pb2.ListAlertsResponse:
        """A page of alerts."""
        size, token = pages.size(request.page_size), request.page_token
        run_id = ids.check("run_id", "run", request.run_id) if request.run_id else ""
        found, next_token = await self._db.read(
            lambda tx: store.alert_page(tx, size=size, token=token, run_id=run_id)
        )
        return run_pb2.ListAlertsResponse(
            alerts=[wire.alert(alert) for alert in found], next_page_token=next_token
        )

    async def WatchRun(
        self, request: run_pb2.WatchRunRequest, _context: Any
    ) -> AsyncIterator[run_pb2.WatchRunResponse]:
        """The history from where the client stands, then live to its end."""
        if request.after_sequence < 0:
            raise errors.Invalid("after_sequence", "must not be negative")
        run = await self._get(request.run_id)
        seen = request.after_sequence
        async with self._mesh.signals.subscribe(history.topic(run.run_id)) as subscription:
            while True:
                present, entries = await self._db.read(
                    lambda tx, after=seen: (
                        store.get(tx, run.run_id),
                        history.since(tx, run.run_id, after),
                    )
                )
                for entry in entries:
                    seen = entry.sequence
                    yield run_pb2.WatchRunResponse(event=wire.event(entry))
                if present.ended and seen >= present.last_sequence:
                    return
                if not entries:
                    await subscription.wait(RECHECK_S)

    async def WaitRun(
        self, request: run_pb2.WaitRunRequest, _context: Any
    ) -> run_pb2.WaitRunResponse:
        """The run once it has ended, or as it stands when the time is over."""
        limit_s = wire.DEFAULT_WAIT_S
        if request.HasField("timeout"):
            limit_s = wire.seconds("timeout", request.timeout, most=wire.LONGEST_WAIT_S)
        end = self._mesh.clock.monotonic() + limit_s
        run_id = ids.check("run_id", "run", request.run_id)
        async with self._mesh.signals.subscribe(store.end_topic(run_id)) as subscription:
            while True:
                run = await self._get(run_id)
                left_s = end - self._mesh.clock.monotonic()
                if run.ended or left_s <= 0:
                    return run_pb2.WaitRunResponse(run=wire.run(run), done=run.ended)
                await subscription.wait(min(left_s, RECHECK_S))

    async def _get(self, run_id: str) -> Run:
        ids.check("run_id", "run", run_id)
        return await self._db.read(lambda tx: store.get(tx, run_id))


@dataclass(frozen=True)
class _Wish:
    """What is asked of the run's session: as it may be read, and whole and sealed if need be."""

    session: dict[str, Any] | None
    sealed: bytes


class _Acceptance:
    """The unit of work that accepts a run: the run, its first events and its outbox rows."""

    def __init__(
        self,
        request: run_pb2.CreateRunRequest,
        run_id: str,
        workflow_run: workflow_pb2.WorkflowRun,
        timeout: Any,
        wish: _Wish,
    ) -> None:
        self._request = request
        self._run_id = run_id
        self._workflow_run = workflow_run
        self._timeout = timeout
        self._wish = wish

    def __call__(self, tx: db.Tx) -> Run:
        request, workflow_run = self._request, self._workflow_run
        run = Run(
            run_id=self._run_id,
            organization_id=context.organization(),
            state=RunState.CREATED,
            title=workflow_run.title,
            workflow_id=workflow_run.workflow_id,
            workflow_version=workflow_run.workflow_version,
            workflow_run_id=workflow_run.workflow_run_id,
            needs_browser=workflow_run.needs_browser,
            requested_session_id=request.browser_session_id,
            browser_session_id="",
            session=self._wish.session,
            parameters=wire.plain(request.parameters),
            labels=dict(request.labels),
            created_at=tx.now,
            expires_at=tx.now + self._timeout,
            request_id=context.current().request_id,
            traceparent=telemetry.traceparent(),
            idempotency_key=request.idempotency_key or None,
            request_hash=wire.request_hash(request),
            steps=fresh_steps(),
        )
        told = {
            "title": run.title,
            "workflow_id": run.workflow_id,
            "workflow_version": run.workflow_version,
            "workflow_run_id": run.workflow_run_id,
        }
        store.insert(tx, queued(run))
        if self._wish.sealed:
            store.keep_wish(tx, run.run_id, self._wish.sealed)
        note(tx, run.run_id, "run.created", projection.creation_facts(run))
        tx.publish("run.created", told, run_id=run.run_id)
        note(tx, run.run_id, "saga.step_finished", {"step": CREATE_WORKFLOW_RUN})
        note(tx, run.run_id, "run.queued", {})
        tx.notify(store.DUE_TOPIC)
        return store.get(tx, run.run_id)


def _created(run: Run) -> run_pb2.CreateRunResponse:
    return run_pb2.CreateRunResponse(run_id=run.run_id, run=wire.run(run))
