"""browser_session_expired: a session that lost its browser gets another one, under the same id.

What the old browser knew (cookies, local storage, the last address) comes from the profile that was
saved while it lived. Forms that were half filled and scripts that ran are lost: who was acting in
the page learns that by the session's generation, and begins again from a safe point.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from libs import context
from libs.db import Tx
from libs.recovery import Failure, Recovery, State, Step, StepFailed, Strategy
from libs.rpc.mesh import Mesh
from services.browser_session import profile as profiles
from services.browser_session import store
from services.browser_session.domain import LIVE, USABLE, Reason, Session
from services.browser_session.live import LiveSession
from services.browser_session.profile import Profile

# Each start costs a second of a processor: a dead replica's sessions come back a few at a time.
MOST_AT_ONCE = 4


def profile_seal(session_id: str) -> bytes:
    """What ties a sealed profile to its session."""
    return f"{session_id}/profile".encode()


@dataclass(frozen=True)
class Hands:
    """What the pool does for a revival."""

    http: Callable[[], aiohttp.ClientSession]
    start: Callable[[Session], Awaitable[LiveSession]]
    end_old: Callable[[Session], Awaitable[str]]
    publish: Callable[[LiveSession], str]


class Revivals:
    """Gives sessions of this replica another browser."""

    def __init__(self, mesh: Mesh, hands: Hands) -> None:
        self._mesh = mesh
        self._hands = hands
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    async def revive(self, row: Session, reason: Reason) -> tuple[Recovery, LiveSession | None]:
        """What came of it, and the browser that was started; one that failed is to be ended."""
        attempt = _Revival(self._mesh, self._hands, row, reason)
        with context.bind(organization_id=row.organization_id, run_id=row.run_id):
            async with self._room:
                recovery = await self._mesh.recoveries.attempt(
                    attempt.strategy(), subject=row.session_id, reason=reason.value
                )
        return recovery, attempt.live


class _Revival:
    """The course of one."""

    def __init__(self, mesh: Mesh, hands: Hands, row: Session, reason: Reason) -> None:
        self._mesh = mesh
        self._hands = hands
        self._row = row
        self._reason = reason
        self._profile = Profile()
        self.live: LiveSession | None = None

    def strategy(self) -> Strategy:
        """The steps, in order."""
        return Strategy(
            Failure.BROWSER_SESSION_EXPIRED,
            (
                Step("end_old_browser", self._end_old),
                Step("start_new_browser", self._start),
                Step("restore_profile", self._restore),
                Step("reopen_last_page", self._reopen),
                Step("give_session_back", self._give_back),
            ),
            verify=self._verify,
        )

    async def _end_old(self) -> str:
        return await self._hands.end_old(self._row)

    async def _start(self) -> str:
        self.live = await self._hands.start(self._row)
        return f"browser {self._row.generation} of the session"

    async def _restore(self) -> str:
        session_id = self._row.session_id
        sealed = await self._mesh.db.read(lambda tx: store.profiles.get(tx, session_id))
        if sealed is None:
            return "no profile had been saved yet"
        assert self.live is not None
        self._profile = Profile.of(self._mesh.vault.open(sealed, profile_seal(session_id)))
        await profiles.restore(self._hands.http(), self.live.browser_url, self._profile)
        self.live.profile = self._profile
        cookies, origins = len(self._profile.cookies), len(self._profile.storage)
        return f"{cookies} cookies, local storage of {origins} origins"

    async def _reopen(self) -> str:
        if not self._profile.url:
            return "no page had been open"
        assert self.live is not None
        url = self._profile.url
        return await profiles.reopen(self._hands.http(), self.live.browser_url, url)

    async def _give_back(self) -> str:
        assert self.live is not None
        url = self._hands.publish(self.live)

        def unit(tx: Tx) -> bool:
            if not store.sessions.set_ready(tx, self._row, url):
                return False
            store.sessions.tell_recovered(tx, self._row, self._reason)
            return True

        if await self._mesh.db.write(unit):
            return "its run may go on"
        return "nobody waits for it any more"

    async def _verify(self) -> str:
        assert self.live is not None
        session_id = self._row.session_id
        row = await self._mesh.db.read(lambda tx: store.sessions.get_anywhere(tx, session_id))
        ours = (self._row.owner, self._row.generation)
        if row is None or row.state not in LIVE or (row.owner, row.generation) != ours:
            return "the session ended, or went to another replica, in the meantime"
        if row.state not in USABLE:
            raise StepFailed(f"the session is {row.state}")
        return f"{await self.live.version()} answers"


def has_failed(recovery: Recovery) -> bool:
    """Whether the session still has no browser."""
    return recovery.state is State.FAILED
