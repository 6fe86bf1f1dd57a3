"""Browsers that are kept ready for sessions to come."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session.orphans import processes_of
from services.browser_session.service import BrowserSessionService
from tests.contract.browser_session.conftest import Sessions
from tests.support.eventually import eventually
from tests.support.mesh import running


def browsers(home: Path, kind: str = "warm-") -> dict[str, int]:
    """The main process of each running browser whose folder has a name like this."""
    folders = (home / "browsers").glob(f"{kind}*") if (home / "browsers").is_dir() else []
    found = {folder.name: processes_of(folder) for folder in folders}
    return {name: min(pids) for name, pids in found.items() if pids}


@pytest.fixture
async def warm(home: Path, redis_url: str) -> AsyncIterator[Sessions]:
    async with running(
        BrowserSessionService,
        home,
        redis_url,
        browser_sweep_s=0.2,
        browser_warm=1,
        browser_warm_refill_s=0.0,
        browser_most_stalled=101.0,
    ) as service:
        await eventually(lambda: len(browsers(home)) == 1, within=20)
        yield Sessions(service)
    assert not browsers(home, "")


async def test_a_session_takes_the_browser_that_waits_and_ends_it(
    warm: Sessions, home: Path
) -> None:
    async def taken() -> pb.Session | None:
        # A browser that runs may not be ready to be taken yet.
        made = await warm.acquire()
        return None if browsers(home, made.browser_session_id) else made

    before = set(browsers(home))
    first = await eventually(taken, within=20)
    # Another one is launched for whoever comes next; the one that was used never waits again.
    await eventually(lambda: len(browsers(home)) == 2, within=20)
    assert before <= set(browsers(home))
    await warm.as_("run").ReleaseSession(
        pb.ReleaseSessionRequest(browser_session_id=first.browser_session_id, run_id=first.run_id)
    )
    assert not before & set(browsers(home))


async def test_a_session_of_another_look_has_a_browser_of_its_own(
    warm: Sessions, home: Path
) -> None:
    before = browsers(home)
    made = await warm.acquire(options=pb.SessionOptions(locale="de-CH"))
    assert browsers(home, made.browser_session_id)
    assert browsers(home) == before


async def test_one_that_died_waiting_is_given_to_nobody(warm: Sessions, home: Path) -> None:
    [(name, pid)] = browsers(home).items()
    os.kill(pid, signal.SIGKILL)
    made = await warm.acquire()
    assert made.state == pb.SESSION_STATE_OCCUPIED
    await eventually(lambda: name not in browsers(home) and len(browsers(home)) >= 1, within=20)
