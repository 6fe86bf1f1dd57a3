"""What is asked of one replica is done to the browser of another."""

from __future__ import annotations

from pathlib import Path

from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session.service import BrowserSessionService
from tests.contract.browser_session.conftest import Sessions, Site
from tests.contract.browser_session.test_links import made
from tests.contract.browser_session.test_live_view import hand_back, open_page, take, title
from tests.contract.browser_session.test_recordings import started, stopped
from tests.support.mesh import running


async def test_any_replica_shows_drives_and_records_a_session(
    home: Path, redis_url: str, site: Site
) -> None:
    async with (
        running(BrowserSessionService, home, redis_url, browser_sweep_s=0.2) as owner,
        running(BrowserSessionService, home, redis_url, browser_sweep_s=0.2) as other,
    ):
        session = await made(Sessions(owner))
        elsewhere = Sessions(other)
        await started(elsewhere, session, "har")
        await open_page(elsewhere, session, site.url)
        assert await title(elsewhere, session)
        taken = await take(elsewhere, session, holder="Ada")
        assert taken.control.agent_rests
        request = pb.WatchSessionRequest(browser_session_id=session.browser_session_id)
        async for picture in elsewhere.as_("gateway").WatchSession(request):
            assert picture.jpeg.startswith(b"\xff\xd8")
            break
        await hand_back(elsewhere, session)
        [kept] = (await stopped(elsewhere, session)).values()
        assert kept.kind == "har"
