"""The door to the browsers for drivers: an authenticated websocket for each session.

`ws://host:port/sessions/<session id>` with `authorization: Bearer <token>` speaks CDP with the
session's browser, through the rules of `cdp_policy`. The browser's own port stays unknown. When
the session ends or is given to somebody else, the sockets of the old lease are closed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp
from aiohttp import web

from libs import errors
from services.browser_session.cdp import MESSAGE_LIMIT_BYTES
from services.browser_session.cdp_policy import attached_page, judge
from services.browser_session.tokens import InvalidToken

CLOSE_LEASE_LOST = 4401
CLOSE_SESSION_ENDED = 4410
CLOSE_GRACE_S = 1.0


class DrivenBrowser(Protocol):
    """What the gateway needs of a live session on this replica."""

    active_page: str
    """The target id of the page that was opened or acted on last."""

    @property
    def browser_url(self) -> str:
        """The browser's own CDP address."""
        ...

    @property
    def downloads(self) -> str:
        """Where its downloads land."""
        ...

    def touch(self) -> None:
        """Notes that the session is in use."""
        ...

    async def save_profile(self) -> None:
        """Writes down what the browser knows of its user."""
        ...

    async def driver_left(self) -> None:
        """A driver disconnected: what its connection had set up in the browser is undone."""
        ...


Admit = Callable[[str, str], Awaitable[tuple[DrivenBrowser, int]]]
"""(session id, token) -> the browser and the fence of the lease; raises InvalidToken, NotFound or
FailedPrecondition."""


@dataclass(eq=False)
class _Link:
    """One driver's socket, and the lease it came with."""

    fence: int
    socket: web.WebSocketResponse
    closing: asyncio.Task[bool] | None = None
    pages: dict[str, str] = field(default_factory=dict)


class CdpGateway:
    """Serves the drivers of the sessions whose browsers run in this process."""

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self._links: dict[str, set[_Link]] = defaultdict(set)
        self._http: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def open(self, host: str, port: int) -> None:
        """Starts to listen; `port` then says where."""
        self._http = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_get("/sessions/{session_id}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_GRACE_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Closes every socket and stops listening."""
        for session_id in list(self._links):
            await self.end(session_id)
        if self._runner:
            await self._runner.cleanup()
        if self._http:
            await self._http.close()

    async def end(self, session_id: str) -> None:
        """Closes the sockets of a session that has ended."""
        links = list(self._links.get(session_id, ()))
        await asyncio.gather(
            *(self._close(link, CLOSE_SESSION_ENDED, b"session ended") for link in links)
        )

    async def fence_off(self, session_id: str, fence: int) -> None:
        """Closes the sockets that came with an older lease than `fence`."""
        old = [link for link in self._links.get(session_id, ()) if link.fence < fence]
        await asyncio.gather(*(self._close(link, CLOSE_LEASE_LOST, b"lease lost") for link in old))

    def drivers(self, session_id: str) -> int:
        """How many sockets the session has now."""
        return len(self._links.get(session_id, ()))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if "Origin" in request.headers:
            # Only a browser sends it: some page is trying to drive another page's browser.
            return web.Response(status=403, text="not for web pages")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return web.Response(status=401, text="a bearer token is needed")
        session_id = request.match_info["session_id"]
        try:
            browser, fence = await self._admit(session_id, token)
        except InvalidToken as reason:
            return web.Response(status=401, text=str(reason))
        except errors.NotFound:
            return web.Response(status=404, text="no such session here")
        except errors.FailedPrecondition as reason:
            return web.Response(status=409, text=reason.message)
        return await self._connect(request, session_id, browser, fence)

    async def _connect(
        self, request: web.Request, session_id: str, browser: DrivenBrowser, fence: int
    ) -> web.StreamResponse:
        assert self._http is not None
        driver = web.WebSocketResponse(
            max_msg_size=MESSAGE_LIMIT_BYTES, compress=False, timeout=CLOSE_GRACE_S
        )
        if not driver.can_prepare(request):
            return web.Response(status=426, text="speak WebSocket here")
        try:
            upstream = await self._http.ws_connect(
                browser.browser_url, max_msg_size=MESSAGE_LIMIT_BYTES, compress=0
            )
        except (aiohttp.ClientError, OSError):
            return web.Response(status=502, text="the browser does not answer")
        link = _Link(fence, driver)
        self._links[session_id].add(link)
        try:
            await driver.prepare(request)
            await self._pump(link, upstream, browser)
        finally:
            self._forget(session_id, link)
            await upstream.close()
            await browser.driver_left()
        if link.closing:
            await link.closing
        return driver

    async def _pump(
        self, link: _Link, upstream: aiohttp.ClientWebSocketResponse, browser: DrivenBrowser
    ) -> None:
        """Carries frames both ways until one side ends."""
        inward = asyncio.create_task(self._to_browser(link, upstream, browser))
        outward = asyncio.create_task(self._to_driver(link, upstream))
        try:
            await asyncio.wait({inward, outward}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (inward, outward):
                task.cancel()
            await asyncio.gather(inward, outward, return_exceptions=True)
            if not link.socket.closed:
                await link.socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    @staticmethod
    async def _to_browser(
        link: _Link, upstream: aiohttp.ClientWebSocketResponse, browser: DrivenBrowser
    ) -> None:
        async for frame in link.socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            browser.touch()
            verdict = judge(frame.data, browser.downloads, browser.active_page)
            if verdict.saves:
                await browser.save_profile()
            if verdict.drives in link.pages:
                browser.active_page = link.pages[verdict.drives]
            if verdict.forward is not None:
                await upstream.send_str(verdict.forward)
            elif verdict.reply is not None:
                await link.socket.send_str(verdict.reply)

    @staticmethod
    async def _to_driver(link: _Link, upstream: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in upstream:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            attached = attached_page(frame.data)
            if attached:
                link.pages[attached[0]] = attached[1]
            await link.socket.send_str(frame.data)

    def _forget(self, session_id: str, link: _Link) -> None:
        links = self._links[session_id]
        links.discard(link)
        if not links:
            del self._links[session_id]

    @staticmethod
    async def _close(link: _Link, code: int, why: bytes) -> None:
        """Says why and closes, without waiting long for a driver that does not answer.

        A socket still in its handshake is left to the next sweep of the sessions, a second later.
        """
        if not link.socket.prepared:
            return
        if link.closing is None:
            link.closing = asyncio.create_task(link.socket.close(code=code, message=why))
        await asyncio.wait({link.closing}, timeout=CLOSE_GRACE_S)
