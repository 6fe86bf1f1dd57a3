"""Links: a driver of one's own over CDP, with one right, for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from google.protobuf import duration_pb2
from playwright.async_api import async_playwright

from libs import errors, ids
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session.view.links import Link, Links
from services.browser_session.view.rights import Right
from tests.contract.browser_session.conftest import Sessions, Site
from tests.support.eventually import eventually


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def made(sessions: Sessions) -> pb.Session:
    return (await sessions.as_("gateway").CreateSession(pb.CreateSessionRequest())).session


async def link(sessions: Sessions, session: pb.Session, right: Any, **more: Any) -> str:
    """The token of a link."""
    request = pb.CreateLinkRequest(
        browser_session_id=session.browser_session_id, right=right, **more
    )
    return (await sessions.as_("gateway").CreateLink(request)).cdp_url.partition("token=")[2]


async def located(sessions: Sessions, session: pb.Session, token: str) -> str:
    request = pb.LocateSessionRequest(browser_session_id=session.browser_session_id, token=token)
    return (await sessions.as_("gateway", "").LocateSession(request)).url


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def asked(socket: Any, method: str, session: str = "", **params: Any) -> dict[str, Any]:
    """What the browser, or the gateway in front of it, answers."""
    message = {"id": 7, "method": method, "params": params}
    await socket.send_json(message | ({"sessionId": session} if session else {}))
    while (answer := await socket.receive_json()).get("id") != 7:
        pass
    return answer


async def test_ones_own_playwright_drives_and_is_counted(sessions: Sessions, site: Site) -> None:
    session = await made(sessions)
    token = await link(sessions, session, pb.RIGHT_DRIVE)
    url = await located(sessions, session, token)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(url, headers=bearer(token))
        page = browser.contexts[0].pages[0]
        await page.goto(site.url)
        await page.fill("#name", "Ada")
        assert await page.input_value("#name") == "Ada"
        await browser.close()

    async def counted() -> pb.Usage | None:
        request = pb.GetActivityRequest(browser_session_id=session.browser_session_id)
        usage = (await sessions.as_("gateway").GetActivity(request)).usage
        return usage if usage.commands > 10 else None

    usage = await eventually(counted, within=5)
    assert usage.bytes_in > 1000
    assert usage.bytes_out > 1000
    assert usage.refused_commands == 0


async def test_who_may_look_may_not_act(
    sessions: Sessions, site: Site, http: aiohttp.ClientSession
) -> None:
    session = await made(sessions)
    token = await link(sessions, session, pb.RIGHT_VIEW)
    url = await located(sessions, session, token)
    async with http.ws_connect(url, headers=bearer(token)) as socket:
        targets = (await asked(socket, "Target.getTargets"))["result"]["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = await asked(socket, "Target.attachToTarget", targetId=target, flatten=True)
        page = attached["result"]["sessionId"]
        assert "data" in (await asked(socket, "Page.captureScreenshot", page))["result"]
        assert "result" in await asked(socket, "Page.startScreencast", page, format="jpeg")
        for method, params in (
            ("Page.navigate", {"url": site.url}),
            ("Runtime.evaluate", {"expression": "1"}),
            ("Input.dispatchMouseEvent", {"type": "mousePressed", "x": 1, "y": 1}),
            ("Storage.getCookies", {}),
            ("Network.enable", {}),
            ("DOM.getDocument", {}),
            ("Target.createTarget", {"url": "about:blank"}),
            ("Target.closeTarget", {"targetId": target}),
            ("Browser.close", {}),
        ):
            answer = await asked(socket, method, page, **params)
            assert "not allowed with this right" in answer["error"]["message"], method


async def test_no_right_reads_files_of_the_machine(
    sessions: Sessions, http: aiohttp.ClientSession
) -> None:
    session = await made(sessions)
    token = await link(sessions, session, pb.RIGHT_DRIVE)
    url = await located(sessions, session, token)
    async with http.ws_connect(url, headers=bearer(token)) as socket:
        for method, params in (
            ("DOM.setFileInputFiles", {"files": ["/etc/passwd"], "nodeId": 1}),
            ("Input.dispatchDragEvent", {"type": "drop", "data": {"files": ["/etc/passwd"]}}),
            ("Page.navigate", {"url": "file:///etc/passwd"}),
        ):
            assert "error" in await asked(socket, method, **params), method


async def test_links_that_are_not_good_open_nothing(
    sessions: Sessions, http: aiohttp.ClientSession
) -> None:
    session, other = await made(sessions), await made(sessions)
    links = Links(sessions.mesh.vault, sessions.mesh.clock)
    soon = datetime.now(UTC) + timedelta(hours=1)
    good = await link(sessions, session, pb.RIGHT_VIEW)
    url = await located(sessions, session, good)
    late = Link(Right.VIEW, "org_a", session.browser_session_id, soon - timedelta(hours=2))
    for token in (
        "nonsense",
        good[:-4] + "AAAA",
        await link(sessions, other, pb.RIGHT_VIEW),
        links.seal(late).reveal(),
    ):
        with pytest.raises(errors.Unauthenticated):
            await located(sessions, session, token)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await http.ws_connect(url, headers=bearer(token))
    stale = Link(Right.DRIVE, "org_a", session.browser_session_id, soon, fence=99)
    with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
        await http.ws_connect(url, headers=bearer(links.seal(stale).reveal()))


async def test_a_link_closes_its_socket_when_its_time_is_over(
    sessions: Sessions, http: aiohttp.ClientSession
) -> None:
    session = await made(sessions)
    token = await link(sessions, session, pb.RIGHT_VIEW, ttl=duration_pb2.Duration(seconds=2))
    url = await located(sessions, session, token)
    async with http.ws_connect(url, headers=bearer(token)) as socket:
        assert (await socket.receive(timeout=5))[:2] == (aiohttp.WSMsgType.CLOSE, 4408)


async def test_a_session_that_a_run_holds_is_looked_at_and_not_driven(
    sessions: Sessions, http: aiohttp.ClientSession
) -> None:
    session = await made(sessions)
    token = await link(sessions, session, pb.RIGHT_DRIVE)
    url = await located(sessions, session, token)
    driving = await http.ws_connect(url, headers=bearer(token))
    held = await sessions.acquire(browser_session_id=session.browser_session_id)
    assert (await driving.receive(timeout=2))[:2] == (aiohttp.WSMsgType.CLOSE, 4401)
    with pytest.raises(errors.FailedPrecondition) as refused:
        await link(sessions, held, pb.RIGHT_DRIVE)
    assert refused.value.reason == "SESSION_OCCUPIED"
    looking = await link(sessions, held, pb.RIGHT_VIEW)
    async with http.ws_connect(url, headers=bearer(looking)) as socket:
        assert "result" in await asked(socket, "Target.getTargets")


async def test_what_is_wrong_with_a_request_is_named(sessions: Sessions) -> None:
    session = await made(sessions)
    for wrong, field in (
        ({"right": 0}, "right"),
        ({"right": pb.RIGHT_VIEW, "ttl": duration_pb2.Duration(seconds=90_000)}, "ttl"),
        ({"right": pb.RIGHT_VIEW, "control_id": "x"}, "control_id"),
    ):
        with pytest.raises(errors.Invalid) as refused:
            await link(sessions, session, **wrong)
        assert refused.value.violations[0][0] == field
    stranger = sessions.as_("gateway", "org_b")
    with pytest.raises(errors.NotFound):
        await stranger.CreateLink(
            pb.CreateLinkRequest(browser_session_id=session.browser_session_id, right=pb.RIGHT_VIEW)
        )
    with pytest.raises(errors.NotFound):
        request = pb.GetActivityRequest(browser_session_id=ids.new("bs"))
        await sessions.as_("gateway").GetActivity(request)
