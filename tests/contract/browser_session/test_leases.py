"""Runs and their browsers: who gets one, who waits, and what happens when a run is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs import errors, ids
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.common.v1 import event_pb2
from services.browser_session.service import BrowserSessionService
from tests.contract.browser_session.conftest import Sessions
from tests.support.eventually import eventually
from tests.support.mesh import running


@pytest.fixture
async def two_places(home: Path, redis_url: str) -> AsyncIterator[Sessions]:
    async with running(
        BrowserSessionService, home, redis_url, browser_sweep_s=0.2, max_sessions=2
    ) as service:
        yield Sessions(service)


async def release(sessions: Sessions, session: pb.Session) -> pb.Session:
    request = pb.ReleaseSessionRequest(
        browser_session_id=session.browser_session_id, run_id=session.run_id
    )
    return (await sessions.as_("run").ReleaseSession(request)).session


async def test_a_run_asks_again_and_has_the_same_session(sessions: Sessions) -> None:
    first = await sessions.acquire()
    assert first.state == pb.SESSION_STATE_OCCUPIED
    assert await sessions.acquire(first.run_id) == first


async def test_releasing_ends_what_was_made_for_the_run_and_frees_what_is_kept(
    sessions: Sessions,
) -> None:
    own = await sessions.acquire()
    for _ in range(2):
        released = await release(sessions, own)
        assert released.state == pb.SESSION_STATE_CLOSED
        assert released.close_reason == "released"
    kept = (await sessions.as_("gateway").CreateSession(pb.CreateSessionRequest())).session
    lent = await sessions.acquire(browser_session_id=kept.browser_session_id)
    assert lent.state == pb.SESSION_STATE_OCCUPIED
    for _ in range(2):
        assert (await release(sessions, lent)).state == pb.SESSION_STATE_READY


async def test_a_run_that_lost_the_answer_gives_back_whatever_it_holds(sessions: Sessions) -> None:
    own = await sessions.acquire()
    lost = pb.ReleaseSessionRequest(run_id=own.run_id)
    for _ in range(2):
        await sessions.as_("run").ReleaseSession(lost)
    request = pb.GetSessionRequest(browser_session_id=own.browser_session_id)
    ended = (await sessions.as_("run").GetSession(request)).session
    assert ended.state == pb.SESSION_STATE_CLOSED


async def test_a_finished_run_gives_its_browsers_back(sessions: Sessions) -> None:
    run_id = ids.new("run")
    own = await sessions.acquire(run_id)
    event = event_pb2.Event(
        event_id=ids.new("evt"),
        type="run.finished",
        source="run",
        organization_id="org_a",
        run_id=run_id,
    )
    for _ in range(2):
        await sessions.mesh.bus.publish("run", [event])

    async def closed() -> bool:
        return (await sessions.get(own.browser_session_id)).state == pb.SESSION_STATE_CLOSED

    await eventually(closed, within=5)


async def test_without_room_a_call_waits_and_then_is_told_to_come_back(
    two_places: Sessions,
) -> None:
    held = [await two_places.acquire() for _ in range(2)]
    request = pb.AcquireSessionRequest(run_id=ids.new("run"))
    with pytest.raises(errors.Exhausted) as told:
        await two_places.as_("run").AcquireSession(request, timeout=1.5)
    assert told.value.retry_after_s
    listed = await two_places.as_("gateway").ListSessions(pb.ListSessionsRequest())
    assert len(listed.sessions) == 2
    waiting = asyncio.create_task(two_places.acquire(request.run_id))
    await eventually(lambda: queued(two_places, 1))
    await release(two_places, held[0])
    assert (await waiting).state == pb.SESSION_STATE_OCCUPIED


async def queued(sessions: Sessions, count: int, organization: str = "org_a") -> bool:
    listed = await sessions.as_("gateway", organization).ListSessions(
        pb.ListSessionsRequest(states=[pb.SESSION_STATE_QUEUED])
    )
    return len(listed.sessions) == count


async def test_an_organisation_that_has_less_is_served_first(two_places: Sessions) -> None:
    held = [await two_places.acquire() for _ in range(2)]
    greedy = [asyncio.create_task(two_places.acquire()) for _ in range(2)]
    await eventually(lambda: queued(two_places, 2))
    modest = asyncio.create_task(
        two_places.as_("run", "org_b").AcquireSession(
            pb.AcquireSessionRequest(run_id=ids.new("run")), timeout=20
        )
    )
    await eventually(lambda: queued(two_places, 1, "org_b"))
    await release(two_places, held[0])
    await modest
    assert not any(task.done() for task in greedy)
    await release(two_places, held[1])
    await asyncio.wait(greedy, return_when=asyncio.FIRST_COMPLETED)
    for task in greedy:
        task.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)


async def test_a_caller_who_leaves_the_queue_leaves_nothing_in_it(two_places: Sessions) -> None:
    for _ in range(2):
        await two_places.acquire()
    waiting = asyncio.create_task(two_places.acquire())
    await eventually(lambda: queued(two_places, 1))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await eventually(lambda: queued(two_places, 0))


async def test_a_run_that_has_ended_gets_no_browser(sessions: Sessions) -> None:
    never_seen = ids.new("run")
    kept = await sessions.as_("gateway").CreateSession(pb.CreateSessionRequest(), timeout=30)
    held = await sessions.acquire()
    ended = [
        event_pb2.Event(
            event_id=ids.new("evt"),
            type="run.finished",
            source="run",
            organization_id="org_a",
            run_id=run_id,
        )
        for run_id in (never_seen, held.run_id)
    ]
    await sessions.mesh.bus.publish("run", ended)

    async def released() -> bool:
        return (await sessions.get(held.browser_session_id)).state == pb.SESSION_STATE_CLOSED

    # Events come in their order: the other one has been taken in by then.
    await eventually(released, within=10)
    for run_id in (never_seen, held.run_id):
        for session_id in ("", kept.session.browser_session_id):
            with pytest.raises(errors.FailedPrecondition) as refused:
                await sessions.acquire(run_id, browser_session_id=session_id)
            assert refused.value.reason == "RUN_FINISHED"


async def test_a_saga_that_lost_its_lease_is_refused(sessions: Sessions) -> None:
    held = await sessions.acquire(saga_fence=2)
    with pytest.raises(errors.Aborted) as lost:
        await sessions.acquire(held.run_id, saga_fence=1)
    assert lost.value.reason == "LEASE_LOST"
    again = await sessions.acquire(held.run_id, saga_fence=3)
    assert again.browser_session_id == held.browser_session_id
