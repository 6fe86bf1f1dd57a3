"""A browser session through the edge: one's own Playwright, the calls on a page, the live view."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser, Error, async_playwright

from services.browser_session.browser import find_binary
from tests.support.serving import served

PAGE = """<title>Shop</title><body style="margin:0">
<input id="name" style="position:absolute;left:20px;top:20px;width:200px;height:30px">
<button style="position:absolute;left:20px;top:80px;width:200px;height:30px"
 onclick="document.title = 'Hello ' + document.getElementById('name').value">go</button></body>"""


@pytest.fixture
async def site() -> AsyncIterator[str]:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    async with served(app) as url:
        yield url


@asynccontextmanager
async def chromium(playwright) -> AsyncIterator[Browser]:
    """A person's own browser."""
    browser = await playwright.chromium.launch(executable_path=str(find_binary()))
    try:
        yield browser
    finally:
        await browser.close()


class Api:
    """The REST door as a holder of the key has it."""

    def __init__(self, http: aiohttp.ClientSession, rest: str) -> None:
        self.http = http
        self.rest = rest

    async def post(self, path: str, **body: object) -> dict:
        async with self.http.post(f"{self.rest}{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def get(self, path: str) -> dict:
        async with self.http.get(f"{self.rest}{path}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


@pytest.fixture
async def api(mesh) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession(headers={"x-api-key": mesh.api_key}) as http:
        yield Api(http, mesh.rest)


@pytest.fixture
async def session(api) -> AsyncIterator[str]:
    made = await api.post("/v1/browser_sessions")
    session_id = made["session"]["browser_session_id"]
    yield f"/v1/browser_sessions/{session_id}"
    await api.post(f"/v1/browser_sessions/{session_id}:close")


async def test_a_users_own_playwright_drives_through_the_public_door(
    mesh, api, session, site
) -> None:
    link = await api.post(f"{session}/links", right="RIGHT_DRIVE")
    assert link["cdp_url"].startswith(f"ws://{mesh.edge}/v1/browser_sessions/bs_")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(link["cdp_url"])
        page = browser.contexts[0].pages[0]
        await page.goto(site)
        await page.fill("#name", "Ada")
        await page.click("button")
        assert await page.title() == "Hello Ada"
        picture = await page.screenshot()
        assert picture.startswith(b"\x89PNG")
        await browser.close()
        with pytest.raises(Error, match="401"):
            await playwright.chromium.connect_over_cdp(link["cdp_url"][:-8] + "AAAAAAAA")
    content = await api.get(f"{session}/content")
    assert (content["url"], content["title"]) == (f"{site}/", "Hello Ada")


async def test_a_page_of_another_origin_may_not_use_a_link(api, session) -> None:
    link = await api.post(f"{session}/links", right="RIGHT_VIEW")
    for url in (link["cdp_url"], link["cdp_url"].replace("/cdp?", "/live?")):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await api.http.ws_connect(url, headers={"origin": "http://evil.example"})


async def test_calls_on_a_page(api, session, site) -> None:
    opened = await api.post(f"{session}:open", url=site)
    assert opened == {"url": f"{site}/", "title": "Shop", "status": 200}
    value = await api.post(f"{session}:evaluate", expression="({a: [1, document.title]})")
    assert value == {"value": {"a": [1, "Shop"]}}
    printed = (await api.post(f"{session}/pdfs", name="shop", paper="a4"))["artifact"]
    assert (printed["kind"], printed["name"]) == ("pdf", "shop.pdf")
    async with api.http.get(f"{api.rest}/v1/artifacts/{printed['artifact_id']}/content") as file:
        assert (await file.read()).startswith(b"%PDF-")
    async with api.http.post(
        f"{api.rest}{session}:evaluate", json={"expression": "no.such.thing"}
    ) as refused:
        problem = await refused.json()
    assert (refused.status, problem["reason"]) == (400, "SCRIPT_FAILED"), json.dumps(problem)
    assert "no is not defined" in problem["detail"]


async def test_a_person_takes_over_in_the_live_page(api, session, site) -> None:
    await api.post(f"{session}:open", url=site)
    taken = await api.post(f"{session}:takeControl", holder="Ada")
    assert taken["control"]["holder"] == "Ada"
    async with async_playwright() as playwright, chromium(playwright) as browser:
        page = await browser.new_page(viewport={"width": 1300, "height": 900})
        await page.goto(taken["live_url"])
        await page.wait_for_selector("text=you act")
        canvas = page.locator("canvas")
        box = await canvas.bounding_box()
        assert box is not None
        scale = box["width"] / 1280
        await canvas.click(position={"x": 60 * scale, "y": 35 * scale})
        await page.keyboard.type("Ada")
        await canvas.click(position={"x": 60 * scale, "y": 95 * scale})
        await page.wait_for_selector("output:has-text('Hello Ada')")
        held = await api.get(f"{session}/activity")
        assert held["control"]["control_id"] == taken["control"]["control_id"]
        await api.post(f"{session}:returnControl")
        await page.wait_for_selector("#state:has-text('over')")
    watched = await api.post(f"{session}/links", right="RIGHT_VIEW")
    assert watched["live_url"].startswith(f"{api.rest}/live#bs_")


async def test_a_file_comes_in_and_is_handed_on_without_a_key(mesh, api) -> None:
    data = base64.b64encode(b"order,total").decode()
    kept = (await api.post("/v1/artifacts", name="orders.csv", data=data))["artifact"]
    assert kept["sha256"] == hashlib.sha256(b"order,total").hexdigest()
    link = await api.post(f"/v1/artifacts/{kept['artifact_id']}/links")
    async with aiohttp.ClientSession() as anybody:
        async with anybody.get(link["url"]) as answer:
            assert (answer.status, await answer.read()) == (200, b"order,total")
            assert answer.headers["content-disposition"].startswith("attachment")
            assert "token" not in str(answer.headers)
        async with anybody.get(link["url"][:-6] + "AAAAAA") as answer:
            assert (answer.status, (await answer.json())["reason"]) == (401, "LINK_INVALID")
        async with anybody.get(f"{mesh.rest}/v1/artifacts/{kept['artifact_id']}") as answer:
            assert answer.status == 401
