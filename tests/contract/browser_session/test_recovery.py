"""A session whose browser dies gets another one: same id, signed in as before, on the same page."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright
from sqlalchemy import select

from libs import errors
from libs.outbox import outbox
from libs.recovery import Recovery
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.common.v1 import event_pb2
from services.browser_session.orphans import processes_of
from services.browser_session.service import BrowserSessionService
from services.browser_session.store.tables import PROFILES
from tests.contract.browser_session.conftest import Sessions
from tests.support.eventually import eventually
from tests.support.mesh import running

SIGNED_IN = "s3cret-session-cookie"


@dataclass
class Shop:
    """A site that knows its visitors by a cookie."""

    url: str
    visits: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    served = Shop("")

    async def page(request: web.Request) -> web.Response:
        served.visits.append((request.path_qs, request.cookies.get("sid", "")))
        answer = web.Response(
            text="<title>shop</title><script>if (location.pathname === '/login')"
            " localStorage.basket = 'two lamps'</script>",
            content_type="text/html",
        )
        if request.path == "/login":
            answer.set_cookie("sid", SIGNED_IN, httponly=True)
        return answer

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


class Driver:
    """Drives the session's page as a task does."""

    def __init__(self, sessions: Sessions, session: pb.Session) -> None:
        self._sessions, self._session = sessions, session

    async def __aenter__(self) -> Driver:
        way = await self._sessions.attach(self._session)
        self.generation = way.generation
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.connect_over_cdp(
            way.cdp_url, headers={"authorization": f"Bearer {way.token}"}
        )
        return self

    @property
    def page(self) -> Page:
        return self._browser.contexts[0].pages[0]

    async def save_profile(self) -> None:
        channel = await self._browser.new_browser_cdp_session()
        await channel.send("Podium.saveProfile")  # type: ignore[arg-type]

    async def __aexit__(self, *_: object) -> None:
        await self._browser.close()
        await self._playwright.stop()


def kill_browser(home: Path, session_id: str) -> None:
    """Ends the newest browser of a session as the kernel would."""
    folders = sorted((home / "browsers").glob(f"{session_id}*"), key=lambda path: len(path.name))
    os.kill(min(processes_of(folders[-1])), signal.SIGKILL)


async def reaches_generation(sessions: Sessions, session: pb.Session, wanted: int) -> None:
    async def reached() -> bool:
        return (await sessions.attach(session)).generation == wanted

    await eventually(reached, within=10)


async def events(sessions: Sessions) -> list[event_pb2.Event]:
    query = select(outbox.c.event).order_by(outbox.c.event_id)
    rows = await sessions.mesh.db.read(lambda tx: list(tx.execute(query)))
    return [event_pb2.Event.FromString(row.event) for row in rows]


async def recoveries(sessions: Sessions) -> list[Recovery]:
    async def kept() -> list[Recovery]:
        return await sessions.mesh.recoveries.recent()

    return await eventually(kept, within=5)


async def sign_in(sessions: Sessions, session: pb.Session, shop: Shop) -> None:
    async with Driver(sessions, session) as driver:
        await driver.page.goto(f"{shop.url}/login")
        await driver.page.goto(f"{shop.url}/orders?page=2")
        await driver.save_profile()


async def test_a_killed_browser_is_replaced_and_still_signed_in(
    sessions: Sessions, shop: Shop, home: Path
) -> None:
    session = await sessions.acquire()
    await sign_in(sessions, session, shop)
    shop.visits.clear()
    died = time.monotonic()
    kill_browser(home, session.browser_session_id)
    await reaches_generation(sessions, session, 2)
    assert time.monotonic() - died < 5
    row = await sessions.get(session.browser_session_id)
    assert (row.state, row.run_id) == (pb.SESSION_STATE_OCCUPIED, session.run_id)
    # Local storage was put back without a request; only the last page was opened again.
    assert shop.visits == [("/orders?page=2", SIGNED_IN)]
    async with Driver(sessions, session) as driver:
        assert driver.page.url == f"{shop.url}/orders?page=2"
        assert await driver.page.evaluate("localStorage.basket") == "two lamps"
    [event] = [one for one in await events(sessions) if one.type == "browser_session.recovered"]
    assert event.run_id == session.run_id
    assert (event.data["reason"], event.data["generation"]) == ("browser_crashed", 2)
    [kept] = await recoveries(sessions)
    assert (kept.failure, kept.state) == ("browser_session_expired", "recovered")
    assert [(step.name, step.ok) for step in kept.steps] == [
        ("end_old_browser", True),
        ("start_new_browser", True),
        ("restore_profile", True),
        ("reopen_last_page", True),
        ("give_session_back", True),
        ("verify_health", True),
    ]
    assert kept.steps[2].message == "1 cookies, local storage of 1 origins"


async def test_a_browser_in_use_is_saved_without_being_asked(
    home: Path, redis_url: str, shop: Shop
) -> None:
    async with running(
        BrowserSessionService, home, redis_url, browser_sweep_s=0.2, profile_every_s=0.1
    ) as service:
        sessions = Sessions(service)
        session = await sessions.acquire()
        async with Driver(sessions, session) as driver:
            await driver.page.goto(f"{shop.url}/login")

            async def sealed() -> bytes:
                query = select(PROFILES.c.sealed)
                return await sessions.mesh.db.read(lambda tx: tx.execute(query).scalar()) or b""

            before = await eventually(sealed)
            assert SIGNED_IN.encode() not in before
            kill_browser(home, session.browser_session_id)
            await reaches_generation(sessions, session, 2)
        async with Driver(sessions, session) as driver:
            await driver.page.goto(f"{shop.url}/basket")
            assert shop.visits[-1] == ("/basket", SIGNED_IN)
        await sessions.as_("run").ReleaseSession(
            pb.ReleaseSessionRequest(
                browser_session_id=session.browser_session_id, run_id=session.run_id
            )
        )
        assert not await sealed(), "the profile of an ended session is forgotten"


async def test_a_session_that_dies_too_often_has_crashed(home: Path, redis_url: str) -> None:
    async with running(
        BrowserSessionService, home, redis_url, browser_sweep_s=0.2, browser_recoveries=1
    ) as service:
        sessions = Sessions(service)
        session = await sessions.acquire()
        kill_browser(home, session.browser_session_id)
        await reaches_generation(sessions, session, 2)
        kill_browser(home, session.browser_session_id)

        async def crashed() -> bool:
            row = await sessions.get(session.browser_session_id)
            return row.state == pb.SESSION_STATE_CRASHED and row.close_reason == "browser_crashed"

        await eventually(crashed, within=1)
        await eventually(lambda: not processes_of(home / "browsers"), within=3)
        with pytest.raises(errors.FailedPrecondition):
            await sessions.attach(session)
        assert (await events(sessions))[-1].type == "browser_session.crashed"
        fresh = await sessions.acquire(session.run_id)
        assert fresh.browser_session_id != session.browser_session_id


async def test_a_session_closed_while_its_browser_is_replaced_stays_closed(
    sessions: Sessions, home: Path
) -> None:
    session = await sessions.acquire()
    session_id = session.browser_session_id
    kill_browser(home, session_id)
    await sessions.as_("run").CloseSession(pb.CloseSessionRequest(browser_session_id=session_id))
    await eventually(lambda: not processes_of(home / "browsers"), within=5)
    await eventually(lambda: not list((home / "browsers").iterdir()), within=5)
    row = await sessions.get(session_id)
    assert (row.state, row.close_reason) == (pb.SESSION_STATE_CLOSED, "requested")


async def test_a_kept_session_that_recovers_is_free_again(sessions: Sessions, home: Path) -> None:
    stub = sessions.as_("gateway")
    made = (await stub.CreateSession(pb.CreateSessionRequest(), timeout=30)).session
    kill_browser(home, made.browser_session_id)
    given = await sessions.acquire(browser_session_id=made.browser_session_id)
    assert given.state == pb.SESSION_STATE_OCCUPIED
    await reaches_generation(sessions, given, 2)
