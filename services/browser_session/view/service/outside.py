"""The part of the door that is about seeing and driving sessions from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import grpc

from libs import context as contexts
from libs import errors, ids
from libs.clock import Clock
from libs.db import Database, Tx
from libs.secrets import Secret
from libs.signals import Signals
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session import store as sessions_store
from services.browser_session import wire as sessions_wire
from services.browser_session.artifacts import Artifacts
from services.browser_session.domain import Kind, Session, check_usable
from services.browser_session.pool import Pool
from services.browser_session.tokens import InvalidToken
from services.browser_session.view import control as controls
from services.browser_session.view import opening, page, store, watching, wire
from services.browser_session.view.links import LONGEST_TIME, Link
from services.browser_session.view.live_door import perform
from services.browser_session.view.retention import Retention
from services.browser_session.view.rights import Right, check_may_act
from services.browser_session.view.store import Control
from services.browser_session.view.uploads import Uploads

USUAL_LOAD_S = 30.0
USUAL_SCRIPT_S = 10.0
SETTLED_WITHIN_S = 4.0
LOOK_AGAIN_S = 0.5


@dataclass(frozen=True)
class Outside:
    """What these RPCs work with."""

    db: Database
    clock: Clock
    signals: Signals
    pool: Pool
    artifacts: Artifacts
    uploads: Uploads
    retention: Retention
    public_url: str

    async def session(self, session_id: str) -> Session:
        """A session of the caller's organisation."""
        organization = contexts.organization()
        ids.check("browser_session_id", "bs", session_id)
        return await self.db.read(
            lambda tx: sessions_store.sessions.get(tx, organization, session_id)
        )

    async def to_look(self, session_id: str) -> tuple[Session, Secret]:
        """A session that has a browser, and the way into it."""
        row = await self.session(session_id)
        check_usable(row)
        return row, self.pool.keyring.call_token(row)

    async def to_act(self, session_id: str, control_id: str) -> tuple[Session, Secret]:
        """The same, when the caller may act in it."""
        row = await self.session(session_id)
        check_may_act(row, await self.holds_wheel(session_id, control_id))
        return row, self.pool.keyring.call_token(row)

    async def series(self, session_id: str) -> int:
        """Which series the links are of that a session is given now."""
        return await self.db.read(lambda tx: sessions_store.links.series_of(tx, session_id))

    async def holds_wheel(self, session_id: str, control_id: str) -> bool:
        """Whether this control is the session's now; FailedPrecondition when it was named and
        is not.
        """
        if not control_id:
            return False
        ids.check("control_id", "ctl", control_id)
        held = await self.db.read(lambda tx: store.control(tx, session_id))
        if held is None or held.control_id != control_id:
            raise errors.FailedPrecondition("this control is over", reason="CONTROL_OVER")
        return True

    async def settled(self, taken: Control) -> Control:
        """The control once the owner of the browser has seen it, or as it is after a while."""
        async with self.signals.subscribe(sessions_store.changed(taken.session_id)) as changed:
            deadline = self.clock.monotonic() + SETTLED_WITHIN_S
            while True:
                now = await self.db.read(lambda tx: store.control(tx, taken.session_id))
                left_s = deadline - self.clock.monotonic()
                if now is None or now.is_settled or left_s <= 0:
                    return now or taken
                await changed.wait(min(left_s, LOOK_AGAIN_S))


class OutsideRpcs:
    """Links, live view, take-over and calls on a session's page."""

    _outside: Outside

    async def CreateLink(
        self, request: pb.CreateLinkRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateLinkResponse:
        right, outside = wire.right(request.right), self._outside
        row = await outside.session(request.browser_session_id)
        check_usable(row)
        holds = await outside.holds_wheel(row.session_id, request.control_id)
        if right is Right.DRIVE:
            check_may_act(row, holds)
        link = Link(
            right,
            row.organization_id,
            row.session_id,
            outside.pool.keyring.links.until(wire.ttl(request), row.expires_at),
            row.fence if right is Right.DRIVE else None,
            request.control_id,
            ids.new("lnk"),
            await outside.series(row.session_id),
        )
        token = outside.pool.keyring.links.seal(link).reveal()
        return wire.link(outside.public_url, link, token)

    async def RevokeLink(
        self, request: pb.RevokeLinkRequest, context: grpc.aio.ServicerContext
    ) -> pb.RevokeLinkResponse:
        link_id = ids.check("link_id", "lnk", request.link_id)
        row = await self._outside.session(request.browser_session_id)

        def unit(tx: Tx) -> None:
            until = tx.now + LONGEST_TIME
            sessions_store.links.revoke(tx, row.organization_id, row.session_id, link_id, until)
            tx.notify(store.wheel_topic(row.owner))

        await self._outside.db.write(unit)
        return pb.RevokeLinkResponse()

    async def RevokeLinks(
        self, request: pb.RevokeLinksRequest, context: grpc.aio.ServicerContext
    ) -> pb.RevokeLinksResponse:
        row = await self._outside.session(request.browser_session_id)

        def unit(tx: Tx) -> None:
            until = tx.now + LONGEST_TIME
            sessions_store.links.revoke_all(tx, row.organization_id, row.session_id, until)
            tx.notify(store.wheel_topic(row.owner))

        await self._outside.db.write(unit)
        return pb.RevokeLinksResponse()

    async def LocateSession(
        self, request: pb.LocateSessionRequest, context: grpc.aio.ServicerContext
    ) -> pb.LocateSessionResponse:
        session_id = ids.check("browser_session_id", "bs", request.browser_session_id)
        try:
            link = self._outside.pool.keyring.links.open(request.token, session_id)
            await self._outside.pool.gateway.revoking.check(session_id, link.leave)
        except InvalidToken as reason:
            raise errors.Unauthenticated(str(reason), reason="LINK_INVALID") from None
        row = await self._outside.pool.row(session_id)
        if row is None:
            raise errors.NotFound("browser session", session_id)
        check_usable(row)
        return pb.LocateSessionResponse(url=row.cdp_url)

    async def GetActivity(
        self, request: pb.GetActivityRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetActivityResponse:
        row = await self._outside.session(request.browser_session_id)
        usage, control = await self._outside.db.read(
            lambda tx: (store.usage(tx, row.session_id), store.control(tx, row.session_id))
        )
        return pb.GetActivityResponse(usage=wire.usage(usage), control=wire.control(control))

    # Live view and take-over

    async def WatchSession(
        self, request: pb.WatchSessionRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.WatchSessionResponse]:
        per_second = wire.per_second(request.max_per_second)
        outside = self._outside
        row, token = await outside.to_look(request.browser_session_id)
        found = watching.pictures(outside.pool.http, row.cdp_url, token, per_second)
        async with aclosing(found) as pictures:
            async for picture in pictures:
                yield wire.picture(picture)

    async def TakeControl(
        self, request: pb.TakeControlRequest, context: grpc.aio.ServicerContext
    ) -> pb.TakeControlResponse:
        outside, organization = self._outside, contexts.organization()
        session_id = ids.check("browser_session_id", "bs", request.browser_session_id)
        if request.control_id:
            ids.check("control_id", "ctl", request.control_id)
        span = controls.checked_time(wire.ttl(request))
        holder = wire.holder(request.holder)
        row, taken = await outside.db.write(
            lambda tx: controls.take(tx, organization, session_id, request.control_id, holder, span)
        )
        settled = await outside.settled(taken)
        expires_at = outside.pool.keyring.links.until(LONGEST_TIME, row.expires_at)
        link = Link(
            Right.STEER,
            organization,
            session_id,
            expires_at,
            control_id=taken.control_id,
            link_id=ids.new("lnk"),
            series=await outside.series(session_id),
        )
        token = outside.pool.keyring.links.seal(link).reveal()
        return pb.TakeControlResponse(
            control=wire.control(settled),
            live_url=wire.live_url(outside.public_url, session_id, token),
        )

    async def ReturnControl(
        self, request: pb.ReturnControlRequest, context: grpc.aio.ServicerContext
    ) -> pb.ReturnControlResponse:
        row = await self._outside.session(request.browser_session_id)
        if request.control_id:
            ids.check("control_id", "ctl", request.control_id)

        def unit(tx: Tx) -> None:
            held = store.control(tx, row.session_id)
            if held is not None and request.control_id in ("", held.control_id):
                controls.give_back(tx, held)

        await self._outside.db.write(unit)
        return pb.ReturnControlResponse()

    async def SendInput(
        self, request: pb.SendInputRequest, context: grpc.aio.ServicerContext
    ) -> pb.SendInputResponse:
        found = wire.gestures(request.events)
        row, token = await self._outside.to_act(request.browser_session_id, request.control_id)
        async with page.active_page(self._outside.pool.http, row.cdp_url, token) as opened:
            await perform(opened, found)
        return pb.SendInputResponse()

    # Calls on a page

    async def OpenPage(
        self, request: pb.OpenPageRequest, context: grpc.aio.ServicerContext
    ) -> pb.OpenPageResponse:
        opening.check_url(request.url)
        limit_s = wire.timeout_s(request, USUAL_LOAD_S)
        row, token = await self._outside.to_act(request.browser_session_id, request.control_id)
        found, status = await opening.open_url(
            self._outside.pool.http, row.cdp_url, token, request.url, limit_s
        )
        return pb.OpenPageResponse(url=found.url, title=found.title, status=status)

    async def GetContent(
        self, request: pb.GetContentRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetContentResponse:
        row, token = await self._outside.to_look(request.browser_session_id)
        async with page.active_page(self._outside.pool.http, row.cdp_url, token) as opened:
            return wire.content(await page.content(opened))

    async def PrintPdf(
        self, request: pb.PrintPdfRequest, context: grpc.aio.ServicerContext
    ) -> pb.PrintPdfResponse:
        outside = self._outside
        row, token = await outside.to_look(request.browser_session_id)
        async with page.active_page(outside.pool.http, row.cdp_url, token) as opened:
            printed = await page.pdf(opened, request.paper, request.landscape, request.background)
        kept = await outside.artifacts.keep(row, Kind.PDF, request.name, printed)
        return pb.PrintPdfResponse(artifact=sessions_wire.artifact(kept))

    async def Evaluate(
        self, request: pb.EvaluateRequest, context: grpc.aio.ServicerContext
    ) -> pb.EvaluateResponse:
        expression = wire.expression(request.expression)
        limit_s = wire.timeout_s(request, USUAL_SCRIPT_S)
        row, token = await self._outside.to_act(request.browser_session_id, request.control_id)
        http = self._outside.pool.http
        try:
            async with (
                asyncio.timeout(limit_s),
                page.active_page(http, row.cdp_url, token) as opened,
            ):
                found = await page.evaluate(opened, expression, limit_s)
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"the script did not end within {limit_s:g} s", reason="SCRIPT_TIMED_OUT"
            ) from None
        return wire.evaluated(found)
