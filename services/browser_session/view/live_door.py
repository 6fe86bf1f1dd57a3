"""The live view's WebSocket: pictures out, and in what a person does who may.

`ws://host:port/sessions/<session id>/live` with `authorization: Bearer <token>`. Outwards: a text
`{"type": "page", "url", "title", "width", "height", "may_act"}` whenever one of these changes, and
each picture as a binary JPEG. Inwards: texts that are gestures (`gestures`). While a socket that
came with a wheel is open, the wheel is held.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

import aiohttp
import orjson
from aiohttp import web

from libs import errors
from libs.clock import Clock
from libs.db import Database, Tx
from services.browser_session.cdp import CdpError
from services.browser_session.cdp_gateway import (
    CLOSE_LINK_OVER,
    CLOSE_SESSION_ENDED,
    CdpGateway,
)
from services.browser_session.live import LiveSession
from services.browser_session.view import gestures, store
from services.browser_session.view.control import DEFAULT_TIME
from services.browser_session.view.gestures import Gesture
from services.browser_session.view.page import Page
from services.browser_session.view.rights import Leave, Right
from services.browser_session.view.screencast import MOST_PER_S, Picture, Screencast, Viewer
from services.browser_session.view.usage import Usage

log = logging.getLogger(__name__)
LARGEST_MESSAGE_BYTES = 256 * 1024
RENEW_EVERY_S = 15.0
MAY_ACT = frozenset({Right.DRIVE, Right.STEER})


class LiveDoor:
    """Serves the viewers of the sessions whose browsers run in this process."""

    def __init__(self, gateway: CdpGateway, db: Database, clock: Clock) -> None:
        self._let_in = gateway.let_in
        self._usage = gateway.usage
        self._revoking = gateway.revoking
        self._db = db
        self._clock = clock

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One viewer, from the handshake to the end."""
        live, leave = await self._let_in(request)
        assert isinstance(live, LiveSession)
        socket = web.WebSocketResponse(max_msg_size=LARGEST_MESSAGE_BYTES, compress=False)
        if not socket.can_prepare(request):
            return web.Response(status=426, text="speak WebSocket here")
        await socket.prepare(request)
        with self._revoking.open(live.session_id, leave) as over:
            if leave.link_id:
                # It may have been revoked between the first look and this.
                await self._revoking.sweep()
            await self._attend(request, socket, live, leave, over)
        return socket

    async def _attend(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        live: LiveSession,
        leave: Leave,
        over: asyncio.Event,
    ) -> None:
        """Shows and lets act until one of the reasons to stop is there."""
        usage = self._usage[live.session_id]
        pause_s = 1 / _per_second(request.query.get("per_second", ""))
        async with live.screencast.watched() as viewer:
            parts: list[asyncio.Task[object]] = [
                asyncio.create_task(self._show(socket, viewer, leave, usage, pause_s)),
                asyncio.create_task(self._act(socket, live, leave, usage)),
                asyncio.create_task(over.wait()),
            ]
            if leave.control_id:
                parts.append(asyncio.create_task(self._hold(live.session_id, leave)))
            left_s = leave.left_s(self._clock.now())
            done, _ = await asyncio.wait(parts, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            if not socket.closed:
                ended = parts[0] in done
                code = CLOSE_SESSION_ENDED if ended else CLOSE_LINK_OVER
                await socket.close(code=code, message=b"session ended" if ended else b"over")

    async def _show(
        self,
        socket: web.WebSocketResponse,
        viewer: Viewer,
        leave: Leave,
        usage: Usage,
        pause_s: float,
    ) -> None:
        told: dict[str, object] = {}
        number = 0
        while (picture := await viewer.next()) is not None:
            about = _about(picture, leave)
            if about != told:
                told = about
                await socket.send_str(orjson.dumps(about).decode())
            if picture.number != number:
                number = picture.number
                usage.bytes_out += len(picture.jpeg)
                await socket.send_bytes(picture.jpeg)
                await viewer.rest(pause_s)

    async def _act(
        self, socket: web.WebSocketResponse, live: LiveSession, leave: Leave, usage: Usage
    ) -> None:
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            usage.commands += 1
            usage.bytes_in += len(frame.data)
            problem = ""
            if leave.right not in MAY_ACT or leave.control_id != live.wheel.control_id:
                problem = "you may only look; take the control of the session first"
                usage.refused += 1
            else:
                live.touch()
                problem = await _perform(live.screencast, frame.data)
            if problem:
                told = {"type": "problem", "message": problem}
                await socket.send_str(orjson.dumps(told).decode())

    async def _hold(self, session_id: str, leave: Leave) -> None:
        """Keeps the wheel while the socket is open; returns when it is over."""

        def renew(tx: Tx) -> bool:
            return store.renew_control(tx, session_id, leave.control_id, DEFAULT_TIME)

        while await self._db.write(renew):
            await self._clock.sleep(RENEW_EVERY_S)


def _per_second(asked: str) -> int:
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 else 0
    return min(number or MOST_PER_S, MOST_PER_S)


def _about(picture: Picture, leave: Leave) -> dict[str, object]:
    return {
        "type": "page",
        "url": picture.url,
        "title": picture.title,
        "width": picture.width,
        "height": picture.height,
        "may_act": leave.right in MAY_ACT,
    }


async def _perform(screencast: Screencast, text: str) -> str:
    """Does in the shown page what a person did; answers why it could not."""
    try:
        raw = orjson.loads(text)
        events = raw if isinstance(raw, list) else [raw]
        found = [gestures.parse("event", one) for one in events[: gestures.MOST_AT_ONCE]]
        if screencast.page is None:
            return "no page is open"
        await perform(screencast.page, found)
    except (orjson.JSONDecodeError, AttributeError):
        return "this is not a gesture"
    except (errors.PodiumError, CdpError) as refused:
        return str(refused)
    return ""


async def perform(page: Page, found: Iterable[Gesture]) -> None:
    """Does gestures in a page, one after the other."""
    for gesture in found:
        if gesture.steps:
            await _step(page, gesture.steps)
        # Sent together: the browser answers a mouse button only after its next frame.
        await asyncio.gather(
            *(page.send(method, params) for method, params in gestures.commands(gesture))
        )


async def _step(page: Page, steps: int) -> None:
    history = await page.send("Page.getNavigationHistory")
    place = history["currentIndex"] + steps
    if 0 <= place < len(history["entries"]):
        entry = history["entries"][place]["id"]
        with contextlib.suppress(CdpError):
            await page.send("Page.navigateToHistoryEntry", {"entryId": entry})
