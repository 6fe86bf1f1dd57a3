"""The door to the browsers for drivers: an authenticated websocket for each session.

`ws://host:port/sessions/<session id>` (`wss`, with mutual TLS, where there are certificates) with
`authorization: Bearer <token>` speaks CDP with the session's browser, through the rules of
`cdp_policy` and the right that the token carries. The browser's own port stays unknown. When the
session ends or is given to somebody else, the sockets of the old lease are closed; when the token's
time is over, or the wheel it came with is given back, that socket is.
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
from libs.clock import Clock
from libs.rpc import https, spiffe
from libs.rpc.certificates import Certificates
from services.browser_session.cdp import MESSAGE_LIMIT_BYTES
from services.browser_session.cdp_policy import Verdict, attached_page, judge
from services.browser_session.tokens import InvalidToken
from services.browser_session.view.revoking import Revoking
from services.browser_session.view.rights import Leave, Right
from services.browser_session.view.usage import Usage
from services.browser_session.view.wheel import AgentLine, Wheel

# The task that drives, the gateway that carries links, and the other replicas.
DRIVERS = ("task", "gateway", "browser_session")
CLOSE_LEASE_LOST = 4401
CLOSE_LINK_OVER = 4408
CLOSE_SESSION_ENDED = 4410
CLOSE_GRACE_S = 1.0


class DrivenBrowser(Protocol):
    """What the gateway needs of a live session on this replica."""

    active_page: str
    """The target id of the page that was opened or acted on last."""
    wheel: Wheel
    """Who may act in its pages."""

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


Admit = Callable[[str, str], Awaitable[tuple[DrivenBrowser, Leave]]]
"""(session id, token) -> the browser and what may be done with it; raises InvalidToken, NotFound or
FailedPrecondition."""
Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(eq=False)
class _Link:
    """One driver's socket, and what it may do."""

    leave: Leave
    socket: web.WebSocketResponse
    usage: Usage
    agent: AgentLine | None = None
    closing: asyncio.Task[bool] | None = None
    pages: dict[str, str] = field(default_factory=dict)


class CdpGateway:
    """Serves the drivers of the sessions whose browsers run in this process."""

    def __init__(
        self,
        admit: Admit,
        clock: Clock,
        revoking: Revoking,
        certificates: Certificates | None = None,
    ) -> None:
        self.admit = admit
        self.revoking = revoking
        self.scheme = "wss" if certificates else "ws"
        self._clock = clock
        self._certificates = certificates
        self.usage: defaultdict[str, Usage] = defaultdict(Usage)
        """What went through for each session, since it was last taken."""
        self.more: list[tuple[str, Serve]] = []
        """What else is served here, by path."""
        self._links: dict[str, set[_Link]] = defaultdict(set)
        self._http: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def open(self, host: str, port: int) -> None:
        """Starts to listen; `port` then says where."""
        self._http = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_get("/sessions/{session_id}", self._serve)
        for path, serve in self.more:
            app.router.add_get(path, serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_GRACE_S)
        await self._runner.setup()
        secured = https.server_context(self._certificates) if self._certificates else None
        site = web.TCPSite(self._runner, host, port, ssl_context=secured)
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
        links = self._links.get(session_id, ())
        old = [one for one in links if one.leave.fence is not None and one.leave.fence < fence]
        await asyncio.gather(*(self._close(link, CLOSE_LEASE_LOST, b"lease lost") for link in old))

    async def end_control(self, session_id: str, control_id: str) -> None:
        """Closes the sockets that came with a wheel that was given back."""
        links = self._links.get(session_id, ())
        over = [link for link in links if link.leave.control_id == control_id]
        await asyncio.gather(
            *(self._close(link, CLOSE_LINK_OVER, b"control is over") for link in over)
        )

    def drivers(self, session_id: str) -> int:
        """How many sockets the session has now."""
        return len(self._links.get(session_id, ()))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        browser, leave = await self.let_in(request)
        return await self._connect(request, browser, leave)

    async def let_in(self, request: web.Request) -> tuple[DrivenBrowser, Leave]:
        """The browser a request may reach and how far; raises the HTTP answer why it may not."""
        self._check_peer(request)
        if "Origin" in request.headers:
            # Only a browser sends it: some page is trying to drive another page's browser.
            raise web.HTTPForbidden(text="not for web pages")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise web.HTTPUnauthorized(text="a bearer token is needed")
        try:
            return await self.admit(request.match_info["session_id"], token)
        except InvalidToken as reason:
            raise web.HTTPUnauthorized(text=str(reason)) from None
        except errors.NotFound:
            raise web.HTTPNotFound(text="no such session here") from None
        except errors.FailedPrecondition as reason:
            raise web.HTTPConflict(text=reason.message) from None

    def _check_peer(self, request: web.Request) -> None:
        """Over TLS, only parts that have something to do with browsers come in."""
        if self._certificates is None:
            return
        environment = self._certificates.environment
        shown = https.shown_by(request.transport)
        if not set(shown) & {spiffe.uri(part, environment) for part in DRIVERS}:
            raise web.HTTPForbidden(text=f"this is not for {', '.join(shown) or 'nobody'}")

    async def _connect(
        self, request: web.Request, browser: DrivenBrowser, leave: Leave
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
        session_id = request.match_info["session_id"]
        link = _Link(leave, driver, self.usage[session_id])
        self._links[session_id].add(link)
        if leave.right is Right.AGENT:
            link.agent = AgentLine(upstream.send_str, driver.send_str)
            browser.wheel.join(link.agent)
        try:
            await driver.prepare(request)
            with self.revoking.open(session_id, leave) as over:
                if leave.link_id:
                    # It may have been revoked between the first look and this.
                    await self.revoking.sweep()
                await self._pump(link, upstream, browser, over)
        finally:
            if link.agent:
                browser.wheel.leave(link.agent)
            self._forget(session_id, link)
            await upstream.close()
            await browser.driver_left()
        if link.closing:
            await link.closing
        return driver

    async def _pump(
        self,
        link: _Link,
        upstream: aiohttp.ClientWebSocketResponse,
        browser: DrivenBrowser,
        over: asyncio.Event,
    ) -> None:
        """Carries frames both ways until one side ends, or the link does."""
        inward = asyncio.create_task(self._to_browser(link, upstream, browser))
        outward = asyncio.create_task(self._to_driver(link, upstream))
        revoked = asyncio.create_task(over.wait())
        parts = (inward, outward, revoked)
        try:
            left_s = link.leave.left_s(self._clock.now())
            done, _ = await asyncio.wait(parts, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if revoked in done:
                inward.cancel()
                await self._close(link, CLOSE_LINK_OVER, b"the link was revoked")
            elif not done:
                await self._close(link, CLOSE_LINK_OVER, b"the link has expired")
        finally:
            for task in parts:
                task.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            if not link.socket.closed:
                await link.socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    async def _to_browser(
        self,
        link: _Link,
        upstream: aiohttp.ClientWebSocketResponse,
        browser: DrivenBrowser,
    ) -> None:
        async for frame in link.socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            browser.touch()
            verdict = judge(frame.data, browser.downloads, browser.active_page, link.leave.only)
            link.usage.commands += 1
            link.usage.refused += verdict.refused
            link.usage.bytes_in += len(frame.data)
            if verdict.saves:
                await browser.save_profile()
            if verdict.drives in link.pages:
                browser.active_page = link.pages[verdict.drives]
            await self._pass_on(link, upstream, browser.wheel, verdict)

    @staticmethod
    async def _pass_on(
        link: _Link, upstream: aiohttp.ClientWebSocketResponse, wheel: Wheel, verdict: Verdict
    ) -> None:
        if link.agent and verdict.rests and verdict.reply is not None:
            await wheel.rest(link.agent, verdict.reply)
        elif link.agent and verdict.acts and verdict.forward is not None:
            await wheel.act(link.agent, verdict.forward)
        elif verdict.forward is not None:
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
            link.usage.bytes_out += len(frame.data)
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
