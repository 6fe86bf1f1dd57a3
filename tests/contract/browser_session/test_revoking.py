"""A revoked link: whoever came with it is sent away at once, and nobody comes with it again."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from libs import errors
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session.cdp_gateway import CLOSE_LINK_OVER
from tests.contract.browser_session.conftest import Sessions
from tests.contract.browser_session.test_links import asked, bearer, located, made


async def linked(sessions: Sessions, session: pb.Session, right: Any) -> tuple[str, str, str]:
    """A link's id, its token, and where it leads."""
    request = pb.CreateLinkRequest(browser_session_id=session.browser_session_id, right=right)
    answer = await sessions.as_("gateway").CreateLink(request)
    token = answer.cdp_url.partition("token=")[2]
    return answer.link_id, token, await located(sessions, session, token)


async def revoke(sessions: Sessions, session: pb.Session, link_id: str = "") -> None:
    names = {"browser_session_id": session.browser_session_id}
    stub = sessions.as_("gateway")
    if link_id:
        await stub.RevokeLink(pb.RevokeLinkRequest(link_id=link_id, **names))
    else:
        await stub.RevokeLinks(pb.RevokeLinksRequest(**names))


async def closed(socket: Any) -> int | None:
    """With which code the other end closed."""
    async with asyncio.timeout(10):
        async for _ in socket:
            pass
    return socket.close_code


async def refused(sessions: Sessions, session: pb.Session, token: str, url: str) -> bool:
    """Whether a link opens nothing: neither the way to it nor the door."""
    with pytest.raises(errors.Unauthenticated):
        await located(sessions, session, token)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as handshake:
            await http.ws_connect(url, headers=bearer(token))
    return handshake.value.status == 401


async def test_a_driver_is_disconnected_and_the_other_link_stays(sessions: Sessions) -> None:
    session = await made(sessions)
    link_id, token, url = await linked(sessions, session, pb.RIGHT_DRIVE)
    _, other, other_url = await linked(sessions, session, pb.RIGHT_DRIVE)
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, headers=bearer(token)) as socket,
        http.ws_connect(other_url, headers=bearer(other)) as good,
    ):
        assert "result" in await asked(socket, "Browser.getVersion")
        await revoke(sessions, session, link_id)
        assert await closed(socket) == CLOSE_LINK_OVER
        assert "result" in await asked(good, "Browser.getVersion")
    assert await refused(sessions, session, token, url)
    await revoke(sessions, session, link_id)


async def test_all_links_of_a_session_end_and_later_ones_are_good(sessions: Sessions) -> None:
    session, untouched = await made(sessions), await made(sessions)
    _, drive, url = await linked(sessions, session, pb.RIGHT_DRIVE)
    _, view, _ = await linked(sessions, session, pb.RIGHT_VIEW)
    _, strange, strange_url = await linked(sessions, untouched, pb.RIGHT_DRIVE)
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, headers=bearer(drive)) as driver,
        http.ws_connect(f"{url}/live", headers=bearer(view)) as viewer,
        http.ws_connect(strange_url, headers=bearer(strange)) as stranger,
    ):
        assert "result" in await asked(driver, "Browser.getVersion")
        await viewer.receive()
        await revoke(sessions, session)
        assert await closed(driver) == await closed(viewer) == CLOSE_LINK_OVER
        assert "result" in await asked(stranger, "Browser.getVersion")
    assert await refused(sessions, session, drive, url)
    assert await refused(sessions, session, view, f"{url}/live")
    _, again, url = await linked(sessions, session, pb.RIGHT_DRIVE)
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, headers=bearer(again)) as driver,
    ):
        assert "result" in await asked(driver, "Browser.getVersion")


async def test_only_ones_own_organisation_revokes(sessions: Sessions) -> None:
    session = await made(sessions)
    link_id, token, _ = await linked(sessions, session, pb.RIGHT_VIEW)
    names = {"browser_session_id": session.browser_session_id}
    stranger = sessions.as_("gateway", "org_b")
    with pytest.raises(errors.NotFound):
        await stranger.RevokeLink(pb.RevokeLinkRequest(link_id=link_id, **names))
    with pytest.raises(errors.NotFound):
        await stranger.RevokeLinks(pb.RevokeLinksRequest(**names))
    with pytest.raises(errors.Invalid, match="link_id"):
        await sessions.as_("gateway").RevokeLink(pb.RevokeLinkRequest(link_id="x", **names))
    assert await located(sessions, session, token)
