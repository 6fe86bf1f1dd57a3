"""Two replicas: any of them answers for every session, and the living bury the dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session import store
from services.browser_session.orphans import processes_of
from services.browser_session.service import BrowserSessionService
from services.browser_session.store.tables import SESSIONS
from tests.contract.browser_session.conftest import Sessions, Site
from tests.contract.browser_session.test_artifacts import Driver, await_download, capture
from tests.support.eventually import eventually
from tests.support.mesh import running


@pytest.fixture
async def other(home: Path, redis_url: str, sessions: Sessions) -> AsyncIterator[Sessions]:
    """A second replica beside the one called `sessions`."""
    async with running(BrowserSessionService, home, redis_url, browser_sweep_s=0.2) as service:
        yield Sessions(service)


async def test_a_session_is_used_and_ended_through_the_other_replica(
    sessions: Sessions, other: Sessions, site: Site, home: Path
) -> None:
    session = await sessions.acquire()
    assert await other.acquire(session.run_id) == session
    assert (await other.attach(session)).cdp_url == (await sessions.attach(session)).cdp_url
    size, shot = await capture(other, session)
    assert size == (1280, 720)
    waiting = asyncio.create_task(await_download(other, session, shot.artifact_id))
    async with Driver(other, session) as page:
        await page.goto(site.url)
        await page.click("#get")
        assert (await waiting).kind == "download"
    await other.as_("run").CloseSession(
        pb.CloseSessionRequest(browser_session_id=session.browser_session_id)
    )
    assert not processes_of(home / "browsers" / session.browser_session_id)


async def test_the_sessions_of_a_dead_replica_are_taken_over_by_the_other(
    sessions: Sessions, other: Sessions
) -> None:
    session = await sessions.acquire()

    def orphan(tx) -> None:
        # What a SIGKILL of the owner leaves: a row of a replica that never beats again.
        tx.execute(update(SESSIONS).values(owner="gone"))

    await sessions.mesh.db.write(orphan)

    async def taken_over() -> bool:
        return (await other.attach(session)).generation == 2

    await eventually(taken_over, within=5)
    row = await other.get(session.browser_session_id)
    assert (row.state, row.run_id) == (pb.SESSION_STATE_OCCUPIED, session.run_id)


async def test_a_stopping_replica_leaves_its_sessions_to_the_others(
    home: Path, redis_url: str, sessions: Sessions, site: Site
) -> None:
    async with running(BrowserSessionService, home, redis_url) as service:
        leaving = Sessions(service)
        session = await leaving.acquire()
        session_id = session.browser_session_id
        async with Driver(leaving, session) as page:
            await page.goto(site.url)
    assert not processes_of(home / "browsers" / session_id)

    async def taken_over() -> bool:
        return (await sessions.attach(session)).generation == 2

    await eventually(taken_over, within=5)
    async with Driver(sessions, session) as page:
        assert page.url == f"{site.url}/"
    left = await sessions.mesh.db.read(
        lambda tx: store.sessions.not_on(tx, [sessions.mesh.replica])
    )
    assert not left
