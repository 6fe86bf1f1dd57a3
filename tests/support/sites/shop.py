"""A small shop that knows its visitors by a cookie, and shows things when a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

LOGIN = """<title>Sign in</title><form method=post action=/login>
<label>Name <input name=name></label><button>Sign in</button></form>"""
ORDERS = """<title>Orders</title><h1>Orders of {name}</h1><p id=state></p>
<button onclick="fetch('/order', {{method: 'POST'}}).then(() => {{
  window.ordered = (window.ordered || 0) + 1;
  document.querySelector('#count').textContent = 'Ordered ' + ordered + ' times';}})">Order</button>
<p id=count></p><script>setInterval(async () => {{
  document.querySelector('#state').textContent = await (await fetch('/state')).text();
}}, 100)</script>"""


@dataclass
class Shop:
    """What the site has seen, and what it shows."""

    url: str = ""
    state: str = "not ready"
    logins: int = 0
    orders: list[str] = field(default_factory=list)
    visits: list[str] = field(default_factory=list)

    async def login_page(self, _: web.Request) -> web.Response:
        return web.Response(text=LOGIN, content_type="text/html")

    async def login(self, request: web.Request) -> web.Response:
        self.logins += 1
        answer = web.HTTPFound("/orders")
        # A session cookie: it lives in the browser's memory alone.
        answer.set_cookie("visitor", str((await request.post())["name"]), httponly=True)
        raise answer

    async def orders_page(self, request: web.Request) -> web.Response:
        visitor = request.cookies.get("visitor", "")
        self.visits.append(visitor)
        if not visitor:
            return web.Response(text=LOGIN, content_type="text/html")
        return web.Response(text=ORDERS.format(name=visitor), content_type="text/html")

    async def order(self, request: web.Request) -> web.Response:
        self.orders.append(request.cookies.get("visitor", ""))
        return web.Response(text="thanks")

    async def tell_state(self, _: web.Request) -> web.Response:
        return web.Response(text=self.state)


@asynccontextmanager
async def shop() -> AsyncIterator[Shop]:
    """Serves a shop inside the block."""
    site = Shop()
    app = web.Application()
    app.router.add_get("/login", site.login_page)
    app.router.add_post("/login", site.login)
    app.router.add_get("/orders", site.orders_page)
    app.router.add_post("/order", site.order)
    app.router.add_get("/state", site.tell_state)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield site
    finally:
        await runner.cleanup()
