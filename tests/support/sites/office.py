"""A small office on the web: forms, tables, a login with codes, and pages that misbehave."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from libs import ids
from tests.support.serving import served
from tests.support.sites import forms

PAGES = Path(__file__).parent / "pages"

USERNAME = "ada@example.com"
PASSWORD = "correct horse battery"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Office:
    """What the site knows; a test reads it to see what really arrived."""

    url: str = ""
    good_codes: set[str] = field(default_factory=set)
    codes_seen: list[str] = field(default_factory=list)
    posted: list[dict[str, str]] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    clicks: int = 0
    visits: list[str] = field(default_factory=list)
    # Links that it has mailed: the good ones, until they are used.
    mailed: list[str] = field(default_factory=list)
    good_links: set[str] = field(default_factory=set)

    def mail_link(self, kind: str = "", token: str = "") -> str:
        """A sign-in link as the site mails it; it is good once."""
        token = token or ids.token(16)
        self.good_links.add(token)
        self.mailed.append(f"{self.url}/magic{kind}/in?token={token}")
        return self.mailed[-1]


@asynccontextmanager
async def office() -> AsyncIterator[Office]:
    """The site, served on 127.0.0.1 inside the block."""
    site = Office()
    async with served(_app(site)) as site.url:
        yield site


def _app(site: Office) -> web.Application:
    app = web.Application()

    async def page(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        file = PAGES / f"{name}.html"
        if not name.isalpha() or not file.exists():
            return web.Response(status=404, text="no such page")
        site.visits.append(name)
        return _html(file.read_text())

    app.router.add_get("/page/{name}", page)
    app.router.add_get("/hang", _hang)
    app.router.add_get("/report.csv", _report)
    app.router.add_post("/submit", _submitted(site))
    app.router.add_post("/upload", _uploaded(site))
    app.router.add_post("/clicked", _clicked(site))
    for boxes in ("", "-boxes", "-script"):
        _add_login(app, site, boxes)
    for kind in ("", "-confirm", "-code"):
        _add_magic(app, site, kind)
    return app


def _add_login(app: web.Application, site: Office, kind: str) -> None:
    """A login at /login<kind>: password, then a code, then the orders."""

    async def ask(_: web.Request) -> web.Response:
        return _html(forms.login(kind))

    async def check(request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("user") != USERNAME or form.get("pw") != PASSWORD:
            return _html(forms.login(kind, "The user name or password is incorrect."))
        raise web.HTTPFound(f"/code{kind}")

    async def ask_code(_: web.Request) -> web.Response:
        return _html(forms.code(kind))

    async def check_code(request: web.Request) -> web.Response:
        form = await request.post()
        code = "".join(str(value) for key, value in form.items() if key.startswith("code"))
        site.codes_seen.append(code)
        if code not in site.good_codes:
            return _html(forms.code(kind, "That code is not valid."))
        raise web.HTTPFound("/page/orders")

    async def check_by_script(request: web.Request) -> web.Response:
        form = await request.post()
        site.codes_seen.append(str(form.get("code")))
        return web.json_response({"good": form.get("code") in site.good_codes})

    app.router.add_get(f"/login{kind}", ask)
    app.router.add_post(f"/login{kind}", check)
    app.router.add_get(f"/code{kind}", ask_code)
    app.router.add_post(f"/code{kind}", check_by_script if kind == "-script" else check_code)


def _add_magic(app: web.Application, site: Office, kind: str) -> None:
    """A login at /magic<kind> that mails a link; the link may ask to confirm, or for a code."""

    async def ask(_: web.Request) -> web.Response:
        return _html(forms.magic(kind))

    async def mail(request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("email") == USERNAME:
            site.mail_link(kind)
        return _html(forms.MAILED)

    async def follow(request: web.Request) -> web.Response:
        if request.query.get("token") not in site.good_links:
            return _html(forms.USED_UP)
        if kind == "-confirm":
            return _html(forms.confirm(request.query["token"]))
        site.good_links.discard(request.query["token"])
        raise web.HTTPFound("/code" if kind == "-code" else "/page/orders")

    async def confirmed(request: web.Request) -> web.Response:
        site.good_links.discard(str((await request.post())["token"]))
        raise web.HTTPFound("/page/orders")

    app.router.add_get(f"/magic{kind}", ask)
    app.router.add_post(f"/magic{kind}", mail)
    app.router.add_get(f"/magic{kind}/in", follow)
    app.router.add_post(f"/magic{kind}/in", confirmed)


async def _hang(_: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response(text="too late")


async def _report(_: web.Request) -> web.Response:
    return web.Response(
        body=b"order,total\n1001,12.50\n",
        content_type="text/csv",
        headers={"content-disposition": 'attachment; filename="report.csv"'},
    )


def _submitted(site: Office) -> Handler:
    async def submitted(request: web.Request) -> web.Response:
        form = await request.post()
        site.posted.append({key: str(value) for key, value in form.items()})
        return _html("<h1>Thank you</h1><p>Your form has arrived.</p>", "Thanks")

    return submitted


def _uploaded(site: Office) -> Handler:
    async def uploaded(request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        site.uploads[file.filename] = file.file.read()
        return _html(f"<h1>Got {html.escape(file.filename)}</h1>")

    return uploaded


def _clicked(site: Office) -> Handler:
    async def clicked(_: web.Request) -> web.Response:
        site.clicks += 1
        return web.json_response({"clicks": site.clicks})

    return clicked


def _html(body: str, title: str = "Office") -> web.Response:
    if not body.lstrip().startswith("<!doctype"):
        body = f"<!doctype html><html lang=en><title>{title}</title><body>{body}</body></html>"
    return web.Response(text=body, content_type="text/html")
