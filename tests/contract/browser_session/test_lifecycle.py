"""A session from its beginning to its end, through the service's own door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from libs import errors, ids
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import settings_pb2
from services.browser_session.orphans import processes_of
from services.browser_session.service import BrowserSessionService
from tests.contract.browser_session.conftest import Sessions
from tests.support.eventually import eventually
from tests.support.mesh import running


def browsers(home: Path, session_id: str) -> list[int]:
    return processes_of(home / "browsers" / session_id)


async def create(sessions: Sessions, **fields: Any) -> pb.Session:
    stub = sessions.as_("gateway")
    return (await stub.CreateSession(pb.CreateSessionRequest(**fields), timeout=30)).session


async def close(sessions: Sessions, session_id: str, organization: str = "org_a") -> pb.Session:
    stub = sessions.as_("gateway", organization)
    request = pb.CloseSessionRequest(browser_session_id=session_id)
    return (await stub.CloseSession(request, timeout=15)).session


async def test_a_created_session_runs_a_browser_until_it_is_closed_twice(
    sessions: Sessions, home: Path
) -> None:
    made = await create(sessions, options=pb.SessionOptions(viewport_width=800))
    assert made.state == pb.SESSION_STATE_READY
    assert (made.options.viewport_width, made.options.viewport_height) == (800, 720)
    assert browsers(home, made.browser_session_id)
    for _ in range(2):
        closed = await close(sessions, made.browser_session_id)
        assert closed.state == pb.SESSION_STATE_CLOSED
        assert closed.close_reason == "requested"
        assert not browsers(home, made.browser_session_id)
    assert not (home / "browsers" / made.browser_session_id).exists()


async def test_the_same_request_id_answers_the_same_session(sessions: Sessions) -> None:
    first = await create(sessions, request_id="r1")
    again = await create(sessions, request_id="r1")
    assert again.browser_session_id == first.browser_session_id
    with pytest.raises(errors.Conflict):
        await create(sessions, request_id="r1", options=pb.SessionOptions(viewport_width=999))


async def test_limits_are_clamped_with_a_warning_and_nonsense_is_named(
    sessions: Sessions,
) -> None:
    options = pb.SessionOptions()
    options.max_life.FromSeconds(999_999)
    made = await create(sessions, options=options)
    assert made.options.max_life.seconds == 4 * 3600
    assert "max_life" in made.warnings[0]
    with pytest.raises(errors.Invalid) as wrong:
        await create(sessions, options=pb.SessionOptions(viewport_width=5, locale="../x"))
    assert [field for field, _ in wrong.value.violations] == [
        "options.viewport_width",
        "options.locale",
    ]


async def test_a_session_of_another_organisation_is_not_found(sessions: Sessions) -> None:
    made = await create(sessions)
    for call in (
        sessions.as_("gateway", "org_b").GetSession(
            pb.GetSessionRequest(browser_session_id=made.browser_session_id)
        ),
        close(sessions, made.browser_session_id, "org_b"),
        sessions.as_("gateway", "org_b").CaptureScreenshot(
            pb.CaptureScreenshotRequest(browser_session_id=made.browser_session_id)
        ),
        sessions.as_("run", "org_b").AcquireSession(
            pb.AcquireSessionRequest(
                run_id=ids.new("run"), browser_session_id=made.browser_session_id
            )
        ),
    ):
        with pytest.raises(errors.NotFound):
            await call
    listed = await sessions.as_("gateway", "org_b").ListSessions(pb.ListSessionsRequest())
    assert not listed.sessions


async def test_sessions_are_listed_newest_first_in_pages(sessions: Sessions) -> None:
    made = [(await create(sessions)).browser_session_id for _ in range(3)]
    stub = sessions.as_("gateway")
    first = await stub.ListSessions(pb.ListSessionsRequest(page_size=2))
    rest = await stub.ListSessions(
        pb.ListSessionsRequest(page_size=2, page_token=first.next_page_token)
    )
    found = [one.browser_session_id for one in (*first.sessions, *rest.sessions)]
    assert found == made[::-1]
    assert not rest.next_page_token
    await close(sessions, made[0])
    ready = await stub.ListSessions(pb.ListSessionsRequest(states=[pb.SESSION_STATE_READY]))
    assert len(ready.sessions) == 2
    with pytest.raises(errors.Invalid):
        await stub.ListSessions(pb.ListSessionsRequest(page_token="%%"))


async def test_an_idle_session_ends(sessions: Sessions) -> None:
    options = pb.SessionOptions()
    options.idle_timeout.FromMilliseconds(300)
    made = await create(sessions, options=options)
    await renew(sessions, made.browser_session_id)

    async def idle() -> bool:
        row = await sessions.get(made.browser_session_id)
        return row.state == pb.SESSION_STATE_TIMED_OUT and row.close_reason == "idle"

    await eventually(idle, within=5)


async def renew(sessions: Sessions, session_id: str, life_s: int = 0) -> pb.RenewSessionResponse:
    request = pb.RenewSessionRequest(browser_session_id=session_id)
    if life_s:
        request.life.FromSeconds(life_s)
    return await sessions.as_("gateway").RenewSession(request)


async def ends_as(sessions: Sessions, session_id: str, why: str) -> None:
    async def ended() -> bool:
        row = await sessions.get(session_id)
        return row.state == pb.SESSION_STATE_TIMED_OUT and row.close_reason == why

    await eventually(ended, within=10)


async def test_a_session_that_nobody_came_for_ends(sessions: Sessions) -> None:
    options = pb.SessionOptions()
    options.first_connect_timeout.FromMilliseconds(300)
    made = await create(sessions, options=options)
    await ends_as(sessions, made.browser_session_id, "first_connect")


async def test_a_renewed_session_lives_longer_but_not_for_ever(sessions: Sessions) -> None:
    options = pb.SessionOptions()
    options.max_life.FromSeconds(60)
    made = await create(sessions, options=options)
    longer = await renew(sessions, made.browser_session_id, 600)
    assert longer.session.expire_time.seconds >= made.expire_time.seconds + 500
    assert not longer.warnings
    longest = await renew(sessions, made.browser_session_id, 999_999)
    assert longest.session.options.max_life.seconds == 4 * 3600
    assert "max_life" in longest.warnings[0]
    await close(sessions, made.browser_session_id)
    with pytest.raises(errors.FailedPrecondition):
        await renew(sessions, made.browser_session_id)


async def test_a_line_tells_places_and_ends(home: Path, redis_url: str) -> None:
    limits: dict[str, Any] = {"max_sessions": 1, "browser_queue_of_one": 2, "browser_sweep_s": 0.2}
    async with running(BrowserSessionService, home, redis_url, **limits) as service:
        sessions = Sessions(service)
        held = await create(sessions)
        request = pb.CreateSessionRequest(return_at_once=True)
        request.queue_timeout.FromSeconds(60)
        stub = sessions.as_("gateway")
        first = (await stub.CreateSession(request)).session
        assert (first.state, first.queue_position) == (pb.SESSION_STATE_QUEUED, 1)
        request.queue_timeout.FromSeconds(2)
        second = (await stub.CreateSession(request)).session
        assert second.queue_position == 2
        assert second.queue_expire_time.seconds
        with pytest.raises(errors.Exhausted) as full:
            await stub.CreateSession(request)
        assert full.value.reason == "QUEUE_FULL"
        await ends_as(sessions, second.browser_session_id, "queue_timeout")
        await close(sessions, held.browser_session_id)

        async def ready() -> bool:
            return (await sessions.get(first.browser_session_id)).state == pb.SESSION_STATE_READY

        await eventually(ready, within=15)


def reuse(key: str, per_workflow: bool = False) -> settings_pb2.ReusePolicy:
    of_key, of_workflow = settings_pb2.REUSE_MODE_PER_KEY, settings_pb2.REUSE_MODE_PER_WORKFLOW
    return settings_pb2.ReusePolicy(mode=of_workflow if per_workflow else of_key, key=key)


async def test_runs_of_one_key_share_a_session_one_after_another(
    home: Path, redis_url: str
) -> None:
    async with running(
        BrowserSessionService, home, redis_url, browser_sweep_s=0.2, browser_most_jobs=2
    ) as service:
        sessions = Sessions(service)

        async def give_back(session: pb.Session) -> pb.Session:
            request = pb.ReleaseSessionRequest(
                browser_session_id=session.browser_session_id, run_id=session.run_id
            )
            return (await sessions.as_("run").ReleaseSession(request)).session

        first = await sessions.acquire(reuse=reuse("shop"))
        beside = await sessions.acquire(reuse=reuse("shop"))
        assert beside.browser_session_id != first.browser_session_id
        assert (await give_back(first)).state == pb.SESSION_STATE_READY
        others: list[dict[str, Any]] = [
            {"reuse": reuse("shop", per_workflow=True)},
            {"reuse": reuse("shop"), "options": pb.SessionOptions(viewport_width=1000)},
            {},
        ]
        for other in others:
            assert (await sessions.acquire(**other)).browser_session_id != first.browser_session_id
        elsewhere = await sessions.as_("run", "org_b").AcquireSession(
            pb.AcquireSessionRequest(run_id=ids.new("run"), reuse=reuse("shop")), timeout=30
        )
        assert elsewhere.session.browser_session_id != first.browser_session_id
        again = await sessions.acquire(reuse=reuse("shop"))
        assert again.browser_session_id == first.browser_session_id
        done = await give_back(again)
        assert (done.state, done.close_reason) == (pb.SESSION_STATE_CLOSED, "recycled")
