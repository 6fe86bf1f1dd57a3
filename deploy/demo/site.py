"""Acme Supplies, a customer portal: login, one-time code, orders, statement. A real web site.

It checks codes by RFC 6238 and refuses one that was used before, as a careful site does. Its
`faults` make it fail in the ways that sites fail, for the tests that tell such stories.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from deploy.demo import orders, pages
from deploy.demo.codes import Authenticator
from libs import ids
from libs.clock import Clock

COOKIE = "acme_session"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Faults:
    """How the site misbehaves; everything off by default."""

    hanging_paths: set[str] = field(default_factory=set)  # answered never
    broken_orders: set[str] = field(default_factory=set)  # order numbers that answer HTTP 500
    refuse_codes: bool = False  # every one-time code is wrong
    without_statement: bool = False  # the download answers 404
    delay_s: float = 0.0  # before each page


@dataclass
class Customer:
    """Who may sign in."""

    username: str
    password: str = field(repr=False)
    authenticator: Authenticator | None = field(repr=False)  # None: codes are sent, see `sent_code`
    sent_code: str = field(default="", repr=False)


class Portal:
    """The site with its sessions; `app()` serves it."""

    def __init__(self, customer: Customer, clock: Clock | None = None) -> None:
        self.customer = customer
        self.faults = Faults()
        self.code_attempts = 0
        self._clock = clock or Clock()
        self._sessions: dict[str, str] = {}  # token -> "password" or "full"
        self._used_steps: set[int] = set()

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._misbehave])
        app.add_routes(
            [
                web.get("/", self._home),
                web.get("/login", self._show_login),
                web.post("/login", self._login),
                web.get("/login/code", self._show_code),
                web.post("/login/code", self._check_code),
                web.get("/orders", self._orders),
                web.get("/orders/{number}", self._order),
                web.get("/statement", self._statement),
                web.post("/logout", self._logout),
            ]
        )
        return app

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in self.faults.hanging_paths:
            await asyncio.Event().wait()  # Ends when the client gives up or the site stops.
        if self.faults.delay_s:
            await self._clock.sleep(self.faults.delay_s)
        return await handler(request)

    async def _home(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/orders" if self._signed_in(request) else "/login")

    async def _show_login(self, _: web.Request) -> web.StreamResponse:
        return _html(pages.login())

    async def _login(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        known = _same(form.get("username"), self.customer.username)
        if not (_same(form.get("password"), self.customer.password) and known):
            return _html(pages.login("Wrong user name or password."), 401)
        return self._enter("password", "/login/code")

    async def _show_code(self, request: web.Request) -> web.StreamResponse:
        self._require(request, "password")
        return _html(pages.one_time_code())

    async def _check_code(self, request: web.Request) -> web.StreamResponse:
        self._require(request, "password")
        self.code_attempts += 1
        code = str((await request.post()).get("code", "")).replace(" ", "")
        if error := self._refusal(code):
            return _html(pages.one_time_code(error), 401)
        return self._enter("full", "/orders")

    def _refusal(self, code: str) -> str:
        wrong = "That code is not valid. Check the code and try again."
        if self.faults.refuse_codes:
            return wrong
        if self.customer.authenticator is None:
            good = bool(self.customer.sent_code) and _same(code, self.customer.sent_code)
            return "" if good else wrong
        step = self.customer.authenticator.step_of(code, self._clock.now().timestamp())
        if step is None:
            return wrong
        if step in self._used_steps:
            return "This code was used before. Wait for the next one."
        self._used_steps.add(step)
        return ""

    async def _orders(self, request: web.Request) -> web.StreamResponse:
        self._require(request, "full")
        return _html(pages.orders(_month(request)))

    async def _order(self, request: web.Request) -> web.StreamResponse:
        self._require(request, "full")
        number = request.match_info["number"]
        if number in self.faults.broken_orders:
            return _html(pages.trouble("Server error", f"Order {number} cannot be shown."), 500)
        for one in orders.ORDERS:
            if one.number == number:
                return _html(pages.order(one))
        return _html(pages.trouble("Not found", f"There is no order {number}."), 404)

    async def _statement(self, request: web.Request) -> web.StreamResponse:
        self._require(request, "full")
        if self.faults.without_statement:
            return _html(pages.trouble("Not found", "There is no statement yet."), 404)
        month = _month(request)
        name = f"statement-{month}.csv"
        return web.Response(
            body=orders.statement(month),
            content_type="text/csv",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        self._sessions.pop(request.cookies.get(COOKIE, ""), None)
        raise web.HTTPSeeOther("/login")

    def _enter(self, level: str, location: str) -> web.Response:
        token = ids.token(24)
        self._sessions[token] = level
        answer = web.Response(status=303, headers={"location": location})
        answer.set_cookie(COOKIE, token, httponly=True, samesite="Lax")
        return answer

    def _signed_in(self, request: web.Request) -> bool:
        return self._sessions.get(request.cookies.get(COOKIE, "")) == "full"

    def _require(self, request: web.Request, level: str) -> None:
        if self._sessions.get(request.cookies.get(COOKIE, "")) != level:
            raise web.HTTPFound("/login")


def _month(request: web.Request) -> str:
    month = request.query.get("month", "")
    return month if month in orders.MONTHS else max(orders.MONTHS)


def _same(given: object, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html")


@asynccontextmanager
async def serving(
    app: web.Application, port: int = 0, host: str = "127.0.0.1", name: str = ""
) -> AsyncIterator[str]:
    """Serve an application (port 0: any free one); yields its URL, with `name` as the host's."""
    # A page that hangs on purpose must not keep the site from stopping.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, host, port)
        await listener.start()
        yield f"http://{name or host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
