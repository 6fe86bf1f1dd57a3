"""The door of browser_session: requests in, answers out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc

from libs import context as contexts
from libs import errors, ids, pages
from libs.db import Tx
from libs.events.bus import Subscription
from libs.rpc.mesh import Mesh
from libs.wire import span
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import browser_session_pb2_grpc as pb_grpc
from services.browser_session import capture, leases, store, wire
from services.browser_session.artifacts import Artifacts
from services.browser_session.attending import Attendant
from services.browser_session.domain import (
    Options,
    Reason,
    Session,
    State,
    check_usable,
    extended,
)
from services.browser_session.events import RunEvents
from services.browser_session.pool import Pool
from services.browser_session.presence import Hidden
from services.browser_session.saved.profiles import check_there
from services.browser_session.saved.service import ProfileRpcs
from services.browser_session.sealing import SEALED
from services.browser_session.settings import BrowserSettings
from services.browser_session.view.live_door import LiveDoor
from services.browser_session.view.recordings import Recordings
from services.browser_session.view.retention import Retention
from services.browser_session.view.service.files import FileRpcs
from services.browser_session.view.service.outside import Outside, OutsideRpcs
from services.browser_session.view.service.records import RecordingRpcs
from services.browser_session.view.uploads import Uploads
from services.browser_session.view.wheels import Wheels

DEADLINE_MARGIN_S = 0.5
LONGEST_START_S = 60.0
LONGEST_ATTACH_S = 10.0
LONGEST_WAIT_S = 300.0
DEFAULT_WAIT_S = 60.0
LONGEST_REQUEST_ID = 128


class BrowserSessionService(
    ProfileRpcs, OutsideRpcs, FileRpcs, RecordingRpcs, pb_grpc.BrowserSessionServiceServicer
):
    """Browsers and the files that come out of them."""

    settings = BrowserSettings
    tables = store.METADATA
    sealed = SEALED

    def __init__(self, outside: Outside) -> None:
        self._db = db = outside.db
        self._clock = outside.clock
        self._pool = pool = outside.pool
        self._artifacts = outside.artifacts
        self._outside = outside
        reaction = RunEvents(db, pool)
        self.subscriptions = [
            Subscription(stream=reaction.stream, types=reaction.types, handle=reaction.handle)
        ]

    @classmethod
    @asynccontextmanager
    async def open(cls, mesh: Mesh) -> AsyncIterator[BrowserSessionService]:
        """The service with its browsers; they end with it."""
        settings, root = mesh.settings, mesh.settings.artifacts
        assert isinstance(settings, BrowserSettings)
        limits = settings.limits
        artifacts = Artifacts(root, mesh.db, mesh.signals, mesh.clock, limits)
        retention = Retention(root, mesh.db, mesh.clock, settings.retention_sweep_s)
        pool = Pool(mesh, artifacts)
        door = LiveDoor(pool.gateway, mesh.db, mesh.clock)
        pool.gateway.more.append(("/sessions/{session_id}/live", door.serve))
        recordings = Recordings(mesh, pool, artifacts, settings.always_recorded)
        await pool.open()
        mesh.on_drain(pool.drain)
        mesh.spawn(Attendant(mesh, pool).attend(), "browser-sessions")
        mesh.spawn(Wheels(mesh, pool, recordings).attend(), "wheels")
        mesh.spawn(retention.attend(), "retention")
        if pool.keeps_warm:
            mesh.spawn(pool.nest.keep_warm(), "warm-browsers")
        outside = Outside(
            mesh.db,
            mesh.clock,
            mesh.signals,
            pool,
            artifacts,
            Uploads(root, mesh.db, limits),
            retention,
            settings.public_url,
        )
        try:
            yield cls(outside)
        finally:
            await pool.close()

    # Sessions

    async def CreateSession(
        self, request: pb.CreateSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateSessionResponse:
        if len(request.request_id) > LONGEST_REQUEST_ID:
            raise errors.Invalid("request_id", f"is longer than {LONGEST_REQUEST_ID} characters")
        queue_s, more = wire.queue_timeout(request, _time_left(context, LONGEST_START_S))
        options, hidden, warnings = wire.options(request.options)
        new = self._new(options, hidden, [*warnings, *more], request.request_id, queue_s=queue_s)
        row, is_new = await self._queue(lambda tx: leases.create(tx, new), new)
        if not request.return_at_once:
            row = await self._started(row, is_new, context, queue_s)
        elif is_new:
            self._pool.start_later(row, queue_s)
        return pb.CreateSessionResponse(session=await self._shown(row))

    async def GetSession(
        self, request: pb.GetSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetSessionResponse:
        row = await self._session(request.browser_session_id)
        return pb.GetSessionResponse(session=await self._shown(row))

    async def ListSessions(
        self, request: pb.ListSessionsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListSessionsResponse:
        organization = contexts.organization()
        states, size = wire.states(request.states), pages.size(request.page_size)
        before = wire.page_start(request.page_token)
        rows = await self._db.read(
            lambda tx: store.sessions.page(tx, organization, states, before, size + 1)
        )
        shown, more = pages.cut(
            rows, size, lambda one: (one.created_at.isoformat(), one.session_id)
        )
        return pb.ListSessionsResponse(sessions=map(wire.session, shown), next_page_token=more)

    async def RenewSession(
        self, request: pb.RenewSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.RenewSessionResponse:
        organization = contexts.organization()
        session_id = ids.check("browser_session_id", "bs", request.browser_session_id)
        life = span("life", request.life) if request.HasField("life") else timedelta(0)
        if life < timedelta(0):
            raise errors.Invalid("life", "must not be negative")

        def unit(tx: Tx) -> list[str]:
            row = store.sessions.get(tx, organization, session_id)
            options, warnings = extended(row, life, tx.now)
            if not store.sessions.renew(tx, row, options):
                check_usable(row)
            return warnings

        warnings = await self._db.write(unit)
        session = await self._shown(await self._session(session_id))
        return pb.RenewSessionResponse(session=session, warnings=warnings)

    async def CloseSession(
        self, request: pb.CloseSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.CloseSessionResponse:
        row = await self._session(request.browser_session_id)
        await self._pool.end(row, Reason.REQUESTED)
        return pb.CloseSessionResponse(session=wire.session(await self._session(row.session_id)))

    async def CheckOptions(
        self, request: pb.CheckOptionsRequest, context: grpc.aio.ServicerContext
    ) -> pb.CheckOptionsResponse:
        wire.reuse_key(request.reuse)
        options, _, _ = wire.options(request.options)
        organization = contexts.organization()
        await self._db.read(lambda tx: check_there(tx, organization, options))
        return pb.CheckOptionsResponse()

    async def AcquireSession(
        self, request: pb.AcquireSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.AcquireSessionResponse:
        run_id = ids.check("run_id", "run", request.run_id)
        fence = request.saga_fence
        if request.browser_session_id:
            row = await self._acquire_named(request, run_id, context)
        else:
            queue_s = _time_left(context, LONGEST_START_S)
            reuse_key = wire.reuse_key(request.reuse)
            asked = wire.options(request.options)
            new = self._new(*asked, run_id=run_id, queue_s=queue_s, reuse_key=reuse_key)

            def acquire(tx: Tx) -> tuple[Session, bool]:
                return leases.acquire_fresh(tx, new, fence, lambda one: self._pool.alike(one, new))

            row, is_new = await self._queue(acquire, new)
            row = await self._started(row, is_new, context)
        return pb.AcquireSessionResponse(session=wire.session(row))

    async def ReleaseSession(
        self, request: pb.ReleaseSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.ReleaseSessionResponse:
        run_id = ids.check("run_id", "run", request.run_id)
        if not request.browser_session_id:
            return await self._release_all(run_id)
        row = await self._session(request.browser_session_id)

        def unit(tx: Tx) -> bool:
            held = store.sessions.get(tx, row.organization_id, row.session_id)
            return leases.release(tx, held, run_id, self._pool.wear)

        if await self._db.write(unit):
            await self._pool.await_cleared(row.session_id)
        return pb.ReleaseSessionResponse(session=wire.session(await self._session(row.session_id)))

    async def _release_all(self, run_id: str) -> pb.ReleaseSessionResponse:
        organization_id = contexts.organization()
        wear = self._pool.wear
        ended = await self._db.write(
            lambda tx: leases.release_all(tx, organization_id, run_id, wear)
        )
        for session_id in ended:
            await self._pool.await_cleared(session_id)
        return pb.ReleaseSessionResponse()

    async def AttachSession(
        self, request: pb.AttachSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.AttachSessionResponse:
        keyring, control_id = self._pool.keyring, request.control_id
        run_id = "" if control_id else ids.check("run_id", "run", request.run_id)
        row = await self._session(request.browser_session_id)
        if row.state is State.PROVISIONING:
            row = await self._pool.await_usable(
                row.session_id, _time_left(context, LONGEST_ATTACH_S)
            )
        if control_id:
            await self._outside.holds_wheel(row.session_id, control_id)
        check_usable(row, run_id)
        token = keyring.control_token(row, control_id) if control_id else keyring.token(row)
        return pb.AttachSessionResponse(
            generation=row.generation,
            cdp_url=row.cdp_url,
            token=token.reveal(),
            last_artifact_id=await self._artifacts.last_id(row.session_id),
        )

    # Artifacts

    async def CaptureScreenshot(
        self, request: pb.CaptureScreenshotRequest, context: grpc.aio.ServicerContext
    ) -> pb.CaptureScreenshotResponse:
        row = await self._session(request.browser_session_id)
        check_usable(row)
        image = await capture.screenshot(
            self._pool.http, row.cdp_url, self._pool.keyring.call_token(row), request.full_page
        )
        kept = await self._artifacts.keep_screenshot(row, request.name, image)
        return pb.CaptureScreenshotResponse(artifact=wire.artifact(kept))

    async def AwaitDownload(
        self, request: pb.AwaitDownloadRequest, context: grpc.aio.ServicerContext
    ) -> pb.AwaitDownloadResponse:
        row = await self._session(request.browser_session_id)
        wait_s = DEFAULT_WAIT_S
        if request.HasField("wait"):
            wait_s = span("wait", request.wait).total_seconds()
        if wait_s < 0:
            raise errors.Invalid("wait", "must not be negative")
        if request.after_artifact_id:
            ids.check("after_artifact_id", "art", request.after_artifact_id)
        found = await self._artifacts.await_download(
            row, request.after_artifact_id, min(wait_s, _time_left(context, LONGEST_WAIT_S))
        )
        return pb.AwaitDownloadResponse(artifact=wire.artifact(found))

    # Steps

    async def _session(self, session_id: str) -> Session:
        organization = contexts.organization()
        ids.check("browser_session_id", "bs", session_id)
        return await self._db.read(lambda tx: store.sessions.get(tx, organization, session_id))

    async def _shown(self, row: Session) -> pb.Session:
        """A session as the contract says it, with its place in the line."""
        if row.state is not State.QUEUED:
            return wire.session(row)
        return wire.session(row, await self._db.read(lambda tx: store.queue.place_of(tx, row)))

    def _new(
        self,
        options: Options,
        hidden: Hidden,
        warnings: list[str],
        request_id: str = "",
        run_id: str = "",
        queue_s: float = 0.0,
        reuse_key: str = "",
    ) -> Session:
        session_id = ids.new("bs")
        return Session(
            session_id=session_id,
            organization_id=contexts.organization(),
            state=State.QUEUED,
            options=options,
            warnings=tuple(warnings),
            created_at=self._clock.now(),
            owner=self._pool.replica,
            request_id=request_id,
            run_id=run_id,
            made_for_run=bool(run_id) and not reuse_key,
            queue_until=self._clock.now() + timedelta(seconds=queue_s),
            reuse_key=reuse_key,
            jobs=int(bool(run_id)),
            fence=1,
            cdp_key=self._pool.keyring.seal_new_key(session_id),
            sealed_options=self._pool.keyring.seal_options(session_id, hidden),
        )

    async def _queue(
        self, unit: Callable[[Tx], tuple[Session, bool]], new: Session
    ) -> tuple[Session, bool]:
        """Queues the new session, unless the request has one already."""
        self._pool.expect(new.session_id)
        is_new = False

        def queue(tx: Tx) -> tuple[Session, bool]:
            check_there(tx, new.organization_id, new.options)
            row, fresh = unit(tx)
            if fresh:
                row = self._pool.places.admit(tx, row)
                if row.state is State.QUEUED:
                    self._pool.check_line(tx, row)
            return row, fresh

        try:
            row, is_new = await self._db.write(queue)
        finally:
            if not is_new:
                self._pool.unexpect(new.session_id)
        return row, is_new

    async def _started(
        self,
        row: Session,
        is_new: bool,
        context: grpc.aio.ServicerContext,
        queue_s: float = LONGEST_START_S,
    ) -> Session:
        """The session with its browser; one that is new is started here."""
        time_left_s = _time_left(context, LONGEST_START_S)
        if is_new:
            await self._pool.start(row, min(queue_s, time_left_s))
        elif row.state not in (State.QUEUED, State.PROVISIONING):
            return row
        return await self._pool.await_usable(row.session_id, time_left_s)

    async def _acquire_named(
        self,
        request: pb.AcquireSessionRequest,
        run_id: str,
        context: grpc.aio.ServicerContext,
    ) -> Session:
        organization = contexts.organization()
        session_id = ids.check("browser_session_id", "bs", request.browser_session_id)

        def unit(tx: Tx) -> Session:
            return leases.acquire_named(tx, organization, session_id, run_id, request.saga_fence)

        row = await self._db.write(unit)
        if row.state is State.OCCUPIED:
            return row
        await self._pool.await_usable(session_id, _time_left(context, LONGEST_START_S))
        return await self._db.write(unit)


def _time_left(context: grpc.aio.ServicerContext, longest_s: float) -> float:
    """Seconds we may use, with enough left to answer: the caller's, and at most the RPC's own."""
    left = context.time_remaining()
    return max(0.0, min(longest_s, longest_s if left is None else left) - DEADLINE_MARGIN_S)
