"""What a session's pages may reach: a real browser tries every way out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from playwright.async_api import Browser, Error, Page, async_playwright

from libs import errors
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import settings_pb2
from services.browser_session.service import BrowserSessionService
from tests.contract.browser_session.conftest import Sessions
from tests.support.mesh import running
from tests.support.ways_out import World, world


@pytest.fixture
async def out() -> AsyncIterator[World]:
    async with world() as found:
        yield found


def only(*allow: str, deny: tuple[str, ...] = ()) -> pb.SessionOptions:
    return pb.SessionOptions(egress=settings_pb2.EgressPolicy(allow=allow, deny=deny))


@asynccontextmanager
async def driven(sessions: Sessions, options: pb.SessionOptions) -> AsyncIterator[Browser]:
    way = await sessions.attach(await sessions.acquire(options=options))
    async with async_playwright() as playwright:
        headers = {"authorization": f"Bearer {way.token}"}
        browser = await playwright.chromium.connect_over_cdp(way.cdp_url, headers=headers)
        try:
            yield browser
        finally:
            await browser.close()


async def tried(page: Page, url: str) -> list[str]:
    # Chromium never ends the loading of a frame that commits while Playwright holds a popup of the
    # same renderer at its start. The page's own promise says when every way has been tried.
    await page.goto(url, wait_until="domcontentloaded")
    return await page.evaluate("() => window.result")


async def test_no_way_out_but_to_what_is_allowed(sessions: Sessions, out: World) -> None:
    async with driven(sessions, only(f"127.0.0.1:{out.port}")) as browser:
        page = browser.contexts[0].pages[0]
        assert len(await tried(page, out.page())) >= 20
        await tried(page, out.page("localhost"))
        answer = await page.goto(f"http://127.0.0.1:{out.forbidden_port}/")
        assert answer is not None
        assert (answer.status, await answer.header_value("x-podium-egress")) == (403, "not_allowed")
        moved = await page.goto(f"{out.site}/redirect?http://127.0.0.1:{out.forbidden_port}/moved")
        assert moved is not None
        assert moved.status == 403
        for scheme in ("file:///etc/hostname", "chrome://version", "view-source:file:///"):
            with pytest.raises(Error):
                await page.goto(scheme)
    assert out.reached == []
    assert out.datagrams == []


async def test_the_same_page_gets_out_where_it_may(sessions: Sessions, out: World) -> None:
    async with driven(sessions, pb.SessionOptions()) as browser:
        await tried(browser.contexts[0].pages[0], out.page())
    heard = " ".join(out.reached)
    for way in ("fetch", "post", "redirected", "img", "iframe", "object", "ws", "worker", "popup"):
        assert f"/{way}" in heard, way
    # Even then nothing leaves but through the proxy.
    assert out.datagrams == []


async def test_deny_wins_and_a_page_of_the_browser_itself_reaches_no_file(
    sessions: Sessions, out: World
) -> None:
    denied = (f"127.0.0.1:{out.forbidden_port}",)
    async with driven(sessions, only("127.0.0.1", deny=denied)) as browser:
        page = browser.contexts[0].pages[0]
        await tried(page, out.page())
        for address in ("file:///etc/hostname", "chrome://version/"):
            await page.evaluate("url => { location.href = url }", address)
            opened = await page.evaluate(
                "url => { const w = open(url); return !!w && w.name }", address
            )
            assert opened in (False, "")
            frames = [frame.url for frame in page.frames]
            assert page.url == out.page()
            assert not any("etc" in url for url in frames)
    assert out.reached == []


async def test_private_addresses_are_closed_outside_local_use(
    home, redis_url: str, out: World
) -> None:
    async with running(
        BrowserSessionService, home, redis_url, allow_private_targets=False
    ) as service:
        for options in (pb.SessionOptions(), only("127.0.0.1", "*")):
            async with driven(Sessions(service), options) as browser:
                answer = await browser.contexts[0].pages[0].goto(out.page())
                assert answer is not None
                assert await answer.header_value("x-podium-egress") == "private"
    assert out.reached == []


async def test_a_driver_may_not_choose_another_way_out(sessions: Sessions, out: World) -> None:
    way = await sessions.attach(await sessions.acquire(options=only("example.test")))
    headers = {"authorization": f"Bearer {way.token}"}
    async with aiohttp.ClientSession() as http, http.ws_connect(way.cdp_url, headers=headers) as ws:
        for number, (method, params) in enumerate(
            (
                ("Target.createBrowserContext", {"proxyServer": "direct://"}),
                ("Target.createBrowserContext", {"proxyBypassList": "*"}),
                ("Tethering.bind", {"port": 4000}),
            )
        ):
            await ws.send_json({"id": number, "method": method, "params": params})
            assert "error" in await ws.receive_json()
        await ws.send_json({"id": 9, "method": "Target.createBrowserContext", "params": {}})
        assert "result" in await ws.receive_json()


async def test_a_page_may_not_knock_at_our_own_doors(sessions: Sessions, out: World) -> None:
    first = await sessions.acquire()
    way = await sessions.attach(first)
    gateway = way.cdp_url.split("/")[2]
    async with driven(sessions, pb.SessionOptions()) as browser:
        answer = await browser.contexts[0].pages[0].goto(f"http://{gateway}/")
        assert answer is not None
        assert await answer.header_value("x-podium-egress") == "denied"


async def test_lists_that_are_none_are_named(sessions: Sessions) -> None:
    with pytest.raises(errors.Invalid) as wrong:
        await sessions.acquire(options=only("http://example.com", deny=("a b",)))
    assert [field for field, _ in wrong.value.violations] == [
        "options.egress.allow[0]",
        "options.egress.deny[0]",
    ]
