"""How a session's pages see the world, and how sites see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright

from libs import errors
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import settings_pb2
from tests.contract.browser_session.conftest import Sessions
from tests.support.proxies import http_proxy, socks_proxy
from tests.support.serving import served

PAGE = """<link rel=stylesheet href=/style.css><img src=/image.png><script src=/tracker.js></script>
<iframe src=/frame></iframe>"""
SEEN = """async () => {
  const told = `[navigator.userAgent, navigator.language,
    Intl.DateTimeFormat().resolvedOptions().timeZone]`;
  const worker = new Worker(URL.createObjectURL(new Blob([`postMessage(${told})`])));
  const inside = await new Promise(done => worker.onmessage = event => done(event.data));
  const at = await new Promise((done, fail) =>
    navigator.geolocation.getCurrentPosition(done, fail));
  return {inside, page: eval(told), width: innerWidth,
    at: [at.coords.latitude, at.coords.longitude, at.coords.accuracy]};
}"""


@dataclass
class Site:
    """A site that writes down who asks for what."""

    url: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def paths(self) -> set[str]:
        """Everything that was asked for."""
        return {path for path, _ in self.asked}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    found = Site()

    async def anything(request: web.Request) -> web.Response:
        found.asked.append((request.path, {k.lower(): v for k, v in request.headers.items()}))
        text = PAGE if request.path == "/" else "x"
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", anything)
    async with served(app) as url:
        found.url = url
        yield found


@asynccontextmanager
async def page_of(sessions: Sessions, options: pb.SessionOptions) -> AsyncIterator[Page]:
    session = await sessions.acquire(options=options)
    way = await sessions.attach(session)
    async with async_playwright() as playwright:
        headers = {"authorization": f"Bearer {way.token}"}
        browser = await playwright.chromium.connect_over_cdp(way.cdp_url, headers=headers)
        yield browser.contexts[0].pages[0]
        await browser.close()


async def test_pages_and_workers_are_told_alike(sessions: Sessions, site: Site) -> None:
    options = pb.SessionOptions(
        viewport_width=901,
        locale="de-CH",
        time_zone="Asia/Tokyo",
        user_agent="Podium/1 (test)",
        geolocation=settings_pb2.Geolocation(latitude=47.4, longitude=8.5),
        extra_headers=[settings_pb2.ExtraHeader(name="X-Tenant", value="blue")],
    )
    async with page_of(sessions, options) as page:
        await page.goto(site.url)
        seen = await page.evaluate(SEEN)
        other = await page.context.new_page()
        await other.goto(f"{site.url}/second")
    told = ["Podium/1 (test)", "de-CH", "Asia/Tokyo"]
    assert seen["page"] == told
    assert seen["inside"] == told
    assert seen["at"] == [47.4, 8.5, 10]
    assert seen["width"] == 901
    assert {"/", "/frame", "/second"} <= site.paths
    for path, headers in site.asked:
        assert headers.get("x-tenant") == "blue", path
        assert headers["user-agent"] == "Podium/1 (test)"
        assert headers["accept-language"].startswith("de-CH")


async def test_what_is_blocked_is_not_asked_for(sessions: Sessions, site: Site) -> None:
    block = settings_pb2.ResourceBlocking(types=["image", "stylesheet"], urls=["*tracker*"])
    async with page_of(sessions, pb.SessionOptions(block=block)) as page:
        await page.goto(site.url)
    assert site.paths == {"/", "/frame"}


async def test_secrets_of_the_options_are_never_answered(sessions: Sessions) -> None:
    options = pb.SessionOptions(
        proxy=settings_pb2.UpstreamProxy(
            server="http://127.0.0.1:9", username="ann", password="hunter2"
        ),
        extra_headers=[settings_pb2.ExtraHeader(name="x-key", value="hunter3")],
    )
    made = await sessions.acquire(options=options)
    assert made.options.proxy.username == "ann"
    assert [one.name for one in made.options.extra_headers] == ["x-key"]
    assert "hunter" not in str(made)
    stored = b"".join(path.read_bytes() for path in (sessions.mesh.settings.data).iterdir())
    assert b"hunter" not in stored


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_everything_goes_through_the_proxy_that_was_named(
    sessions: Sessions, site: Site, scheme: str
) -> None:
    made = http_proxy if scheme == "http" else socks_proxy
    async with made("ann", "s3cret") as proxy:
        named = settings_pb2.UpstreamProxy(
            server=f"{scheme}://127.0.0.1:{proxy.port}", username="ann", password="s3cret"
        )
        async with page_of(sessions, pb.SessionOptions(proxy=named)) as page:
            answer = await page.goto(site.url)
            assert answer is not None
            assert answer.status == 200
        host = site.url.removeprefix("http://")
        assert any(host in line for line in proxy.carried)
        assert "proxy-authorization" not in site.asked[0][1]


async def test_nonsense_is_named(sessions: Sessions) -> None:
    with pytest.raises(errors.Invalid) as wrong:
        await sessions.acquire(
            options=pb.SessionOptions(
                time_zone="Mars/Base",
                user_agent="a\nb",
                geolocation=settings_pb2.Geolocation(latitude=91),
                proxy=settings_pb2.UpstreamProxy(server="gopher://x"),
                extra_headers=[settings_pb2.ExtraHeader(name="Host", value="x")],
                block=settings_pb2.ResourceBlocking(types=["pictures"]),
            )
        )
    assert {field.removeprefix("options.") for field, _ in wrong.value.violations} == {
        "time_zone",
        "user_agent",
        "geolocation.latitude",
        "proxy.server",
        "extra_headers[0].name",
        "block.types[0]",
    }
