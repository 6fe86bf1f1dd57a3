"""Who may drive a browser, through the CDP gateway, with a real driver."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from playwright.async_api import Error, async_playwright

from libs import errors, ids
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session import store
from services.browser_session.tokens import Claim, sign
from tests.contract.browser_session.conftest import Sessions, Site


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def status_of(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> int:
    try:
        socket = await http.ws_connect(url, headers=headers)
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status
    await socket.close()
    return 101


async def signed(sessions: Sessions, session_id: str, fence: int, expires_at: datetime) -> str:
    row = await sessions.mesh.db.read(lambda tx: store.sessions.get_anywhere(tx, session_id))
    assert row is not None
    key = sessions.mesh.vault.open(row.cdp_key, session_id.encode())
    return sign(key, Claim(session_id, fence, expires_at)).reveal()


async def test_playwright_finds_its_page_again_as_it_left_it(
    sessions: Sessions, site: Site
) -> None:
    way = await sessions.attach(await sessions.acquire())
    assert way.token not in way.cdp_url
    async with async_playwright() as playwright:
        first = await playwright.chromium.connect_over_cdp(way.cdp_url, headers=bearer(way.token))
        page = first.contexts[0].pages[0]
        await page.goto(site.url)
        await page.fill("#name", "Ada")
        await first.close()
        again = await playwright.chromium.connect_over_cdp(way.cdp_url, headers=bearer(way.token))
        [page] = again.contexts[0].pages
        assert page.url == f"{site.url}/"
        assert await page.input_value("#name") == "Ada"
        await again.close()


async def test_wrong_expired_and_stale_tokens_open_nothing(
    sessions: Sessions, http: aiohttp.ClientSession
) -> None:
    session, other = await sessions.acquire(), await sessions.acquire()
    way, others = await sessions.attach(session), await sessions.attach(other)
    session_id, now = session.browser_session_id, datetime.now(UTC)
    hour = timedelta(hours=1)
    assert await status_of(http, way.cdp_url, bearer(way.token)) == 101
    for token in (
        "nonsense",
        way.token[:-2] + "xx",
        others.token,
        await signed(sessions, session_id, 1, now - hour),
        await signed(sessions, session_id, 0, now + hour),
    ):
        assert await status_of(http, way.cdp_url, bearer(token)) == 401
    assert await status_of(http, way.cdp_url, {}) == 401
    origin = {**bearer(way.token), "origin": "http://127.0.0.1"}
    assert await status_of(http, way.cdp_url, origin) == 403
    unknown = way.cdp_url.replace(session_id, ids.new("bs"))
    assert await status_of(http, unknown, bearer(way.token)) == 404


async def test_a_driver_may_not_end_the_browser_nor_read_the_host(
    sessions: Sessions, http: aiohttp.ClientSession
) -> None:
    way = await sessions.attach(await sessions.acquire())
    async with http.ws_connect(way.cdp_url, headers=bearer(way.token)) as socket:
        for number, (method, params) in enumerate(
            (
                ("Browser.close", {}),
                ("Target.createTarget", {"url": "file:///etc/passwd"}),
                ("Target.sendMessageToTarget", {"message": '{"method":"Browser.close"}'}),
            )
        ):
            await socket.send_json({"id": number, "method": method, "params": params})
            answer = await socket.receive_json()
            assert answer["id"] == number
            assert "error" in answer
        await socket.send_str('{"id":9,"method":"\\u0042rowser.close"}')
        assert "error" in await socket.receive_json()
        await socket.send_str("not json")
        assert "error" in await socket.receive_json()
        await socket.send_json({"id": 10, "method": "Browser.getVersion"})
        assert "Chrome" in (await socket.receive_json())["result"]["product"]


async def test_closing_a_session_closes_its_sockets(
    sessions: Sessions, http: aiohttp.ClientSession
) -> None:
    session = await sessions.acquire()
    way = await sessions.attach(session)
    socket = await http.ws_connect(way.cdp_url, headers=bearer(way.token))
    await sessions.as_("run").CloseSession(
        pb.CloseSessionRequest(browser_session_id=session.browser_session_id)
    )
    assert (await socket.receive(timeout=2))[:2] == (aiohttp.WSMsgType.CLOSE, 4410)
    assert await status_of(http, way.cdp_url, bearer(way.token)) == 404


async def test_a_session_given_to_another_run_leaves_its_first_driver_outside(
    sessions: Sessions, http: aiohttp.ClientSession
) -> None:
    made = (await sessions.as_("gateway").CreateSession(pb.CreateSessionRequest())).session
    session_id = made.browser_session_id
    first = await sessions.acquire(browser_session_id=session_id)
    way = await sessions.attach(first)
    socket = await http.ws_connect(way.cdp_url, headers=bearer(way.token))
    with pytest.raises(errors.FailedPrecondition):
        await sessions.acquire(browser_session_id=session_id)
    released = await sessions.as_("run").ReleaseSession(
        pb.ReleaseSessionRequest(browser_session_id=session_id, run_id=first.run_id)
    )
    assert released.session.state == pb.SESSION_STATE_READY
    assert (await socket.receive(timeout=2))[:2] == (aiohttp.WSMsgType.CLOSE, 4401)
    second = await sessions.acquire(browser_session_id=session_id)
    assert await status_of(http, way.cdp_url, bearer(way.token)) == 401
    with pytest.raises(errors.FailedPrecondition):
        await sessions.attach(first)
    with pytest.raises(Error, match="401"):
        async with async_playwright() as playwright:
            await playwright.chromium.connect_over_cdp(way.cdp_url, headers=bearer(way.token))
    way = await sessions.attach(second)
    assert await status_of(http, way.cdp_url, bearer(way.token)) == 101
