"""A browser that has grown too large, or too old, is ended with the reason; the others stay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from libs import errors
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session.service import BrowserSessionService
from tests.contract.browser_session.conftest import Sessions
from tests.contract.browser_session.test_lifecycle import reuse
from tests.contract.browser_session.test_links import made
from tests.support.eventually import eventually
from tests.support.mesh import running

LARGE_MIB = 700
EATS = """globalThis.eaten = Array.from({length: 12}, (_, n) =>
  new Uint8Array(64 * 1024 * 1024).fill(n + 1)); eaten.length"""


@asynccontextmanager
async def serving(home: Path, redis_url: str, **limits: Any) -> AsyncIterator[Sessions]:
    often = {"browser_sweep_s": 0.2, "browser_weigh_s": 0.2}
    async with running(BrowserSessionService, home, redis_url, **often, **limits) as service:
        yield Sessions(service)


async def left(sessions: Sessions, key: str) -> pb.Session:
    """A session that a run has left for a later one."""
    session = await sessions.acquire(reuse=reuse(key))
    request = pb.ReleaseSessionRequest(
        browser_session_id=session.browser_session_id, run_id=session.run_id
    )
    return (await sessions.as_("run").ReleaseSession(request)).session


async def eats(sessions: Sessions, session: pb.Session) -> None:
    """Its page takes three quarters of a gigabyte and keeps them, for as long as it is there."""
    request = pb.EvaluateRequest(
        browser_session_id=session.browser_session_id, expression=EATS, timeout={"seconds": 50}
    )
    # It may be ended before it has eaten all.
    with suppress(errors.Unavailable):
        answer = await sessions.as_("gateway").Evaluate(request, timeout=55)
        assert answer.value.number_value == 12


async def end_of(sessions: Sessions, session: pb.Session) -> pb.Session:
    async def ended() -> pb.Session | None:
        now = await sessions.get(session.browser_session_id)
        return now if now.state == pb.SESSION_STATE_CLOSED else None

    return await eventually(ended, within=30)


async def test_a_large_one_is_not_left_for_another_run(home: Path, redis_url: str) -> None:
    async with serving(home, redis_url, browser_most_memory_mib=LARGE_MIB) as sessions:
        large, small = await left(sessions, "large"), await left(sessions, "small")
        kept = await made(sessions)
        await eats(sessions, large)
        assert (await end_of(sessions, large)).close_reason == "recycled"
        for other in (small, kept):
            now = await sessions.get(other.browser_session_id)
            assert now.state == pb.SESSION_STATE_READY
        again = await sessions.acquire(reuse=reuse("large"))
        assert again.browser_session_id != large.browser_session_id


async def test_one_that_endangers_the_others_is_ended(home: Path, redis_url: str) -> None:
    async with serving(home, redis_url, browser_largest_mib=LARGE_MIB) as sessions:
        large, small = await made(sessions), await made(sessions)
        await eats(sessions, large)
        assert (await end_of(sessions, large)).close_reason == "memory"
        assert (await sessions.get(small.browser_session_id)).state == pb.SESSION_STATE_READY


async def test_an_old_one_is_not_left_for_another_run(home: Path, redis_url: str) -> None:
    async with serving(home, redis_url, browser_oldest_s=3.0) as sessions:
        old, kept = await left(sessions, "old"), await made(sessions)
        assert (await end_of(sessions, old)).close_reason == "recycled"
        assert (await sessions.get(kept.browser_session_id)).state == pb.SESSION_STATE_READY
