"""Attending to the sessions of this replica, and to those that no living replica has.

A decision about a session of ours reaches us as an order on the bus of signals, and at the latest
with the next sweep. A session whose browser died, or whose replica did, is given another browser
here, as often as the settings allow; then it has crashed for good.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from datetime import datetime, timedelta

from libs.db import Tx
from libs.rpc.mesh import Mesh
from services.browser_session import memory, store
from services.browser_session.domain import (
    LIVE,
    USABLE,
    Reason,
    Session,
    State,
    may_recover,
    overdue,
    worn_out,
)
from services.browser_session.orphans import reap_orphans
from services.browser_session.pool import Pool
from services.browser_session.revival import Hands, Revivals, has_failed
from services.browser_session.settings import BrowserSettings

log = logging.getLogger(__name__)
FORGET_EVERY_S = 3600.0
# No call of a stopped replica is later than this.
RUNS_KEPT = timedelta(days=7)


class Attendant:
    """Brings what runs here in line with what the rows say, and the other way round."""

    def __init__(self, mesh: Mesh, pool: Pool) -> None:
        assert isinstance(mesh.settings, BrowserSettings)
        self._settings = mesh.settings
        self._db = mesh.db
        self._signals = mesh.signals
        self._clock = mesh.clock
        self._replica = mesh.replica
        self._pool = pool
        self._beat_due = 0.0
        self._forget_due = 0.0
        self._weigh_due = 0.0
        hands = Hands(lambda: pool.http, pool.start_browser, self._end_old, pool.publish)
        self._revivals = Revivals(mesh, hands)
        pool.lose = self.lose

    async def attend(self) -> None:
        """Sweeps whenever something was decided about a session of ours, and now and then."""
        async with self._signals.subscribe(store.orders(self._replica)) as orders:
            while True:
                await orders.wait(self._settings.browser_sweep_s)
                try:
                    await self.sweep()
                except Exception:
                    # The next sweep is a moment away; a database that is away comes back.
                    log.exception("a sweep of the sessions failed")

    async def sweep(self) -> None:
        """Brings what runs here in line with what the rows say."""
        before = set(self._pool.live)
        if self._clock.monotonic() >= self._beat_due:
            self._beat_due = self._clock.monotonic() + self._settings.browser_sweep_s
            used = [live.session_id for live in self._pool.live.values() if live.take_touched()]
            await self._pool.saved.take_over_all()
            for row in await self._db.write(lambda tx: self._beat(tx, used)):
                self._pool.spawn(self._revive(row, Reason.REPLICA_DIED))
        if self._clock.monotonic() >= self._forget_due:
            self._forget_due = self._clock.monotonic() + FORGET_EVERY_S
            await self._db.write(lambda tx: store.runs.forget(tx, tx.now - RUNS_KEPT))
            await self._db.write(store.links.forget)
        now, rows = await self._db.read(
            lambda tx: (tx.now, store.sessions.on_replica(tx, self._replica))
        )
        if self._clock.monotonic() >= self._weigh_due:
            self._weigh_due = self._clock.monotonic() + self._settings.browser_weigh_s
            self._pool.spawn(self._weigh(rows))
        known = {row.session_id for row in rows}
        for row in rows:
            await self._attend_to(row, now)
        for session_id in before - known:
            live = self._pool.live.get(session_id)
            if live is not None:
                self._pool.spawn(self._pool.clear(live))

    def _beat(self, tx: Tx, used: list[str]) -> list[Session]:
        """Says that this replica lives; answers the sessions that it takes over from dead ones."""
        store.replicas.beat(tx, self._replica)
        if used:
            store.sessions.touch(tx, used)
        left = store.replicas.bury(tx, timedelta(seconds=self._settings.browser_silence_s))
        taken = [self._take_lost(tx, row, Reason.REPLICA_DIED) for row in left]
        lost = [row for row in taken if row is not None]
        self._pool.starting.update(row.session_id for row in lost)
        return lost

    async def _attend_to(self, row: Session, now: datetime) -> None:
        live = self._pool.live.get(row.session_id)
        if live is None:
            if row.session_id not in self._pool.starting:
                await self._forget(row.session_id)
        elif row.state not in LIVE:
            self._pool.spawn(self._pool.clear(live))
        else:
            await self._pool.gateway.fence_off(row.session_id, row.fence)
            if overdue(row, now):
                self._pool.spawn(self._end_overdue(row.session_id))
            elif _is_left(row) and worn_out(row, now, self._pool.wear):
                await self._db.write(self._ending(row, Reason.RECYCLED))

    async def _end_overdue(self, session_id: str) -> None:
        """Ends the session if it still is overdue: a run may just have been given it."""

        def unit(tx: Tx) -> bool:
            row = store.sessions.get_anywhere(tx, session_id)
            reason = overdue(row, tx.now) if row else None
            if row is None or reason is None:
                return False
            return store.sessions.end(tx, row, State.TIMED_OUT, reason)

        if await self._db.write(unit):
            await self._pool.await_cleared(session_id)

    async def _weigh(self, rows: list[Session]) -> None:
        """Ends what has grown too large: what runs share and nobody has, before what is in use."""
        here = {
            live.browser.pid: row
            for row in rows
            if row.state in USABLE and (live := self._pool.live.get(row.session_id)) is not None
        }
        limits = {pid: self._limit_mib(row) for pid, row in here.items()}
        for pid in await asyncio.to_thread(memory.heavier, limits):
            row, shared = here[pid], _is_left(here[pid])
            log.warning("session %s uses more than %d MiB", row.session_id, limits[pid])
            reason = Reason.RECYCLED if shared else Reason.MEMORY
            await self._db.write(self._ending(row, reason))

    def _limit_mib(self, row: Session) -> float:
        largest = self._settings.browser_largest_mib or math.inf
        return min(largest, self._settings.browser_most_memory_mib) if _is_left(row) else largest

    @staticmethod
    def _ending(seen: Session, reason: Reason) -> Callable[[Tx], bool]:
        """Ends the session, unless somebody has been given it meanwhile."""

        def unit(tx: Tx) -> bool:
            row = store.sessions.get_anywhere(tx, seen.session_id)
            if row is None or (row.fence, row.state) != (seen.fence, seen.state):
                return False
            return store.sessions.end(tx, row, State.CLOSED, reason)

        return unit

    async def _forget(self, session_id: str) -> None:
        """Sees to a row that says we have something which we have not, or no longer."""
        row = await self._pool.row(session_id)
        if row is None or session_id in self._pool.live or session_id in self._pool.starting:
            return
        if row.owner == self._replica and row.state in LIVE:
            await self.lose(row, Reason.REPLICA_DIED)
        await self._db.write(
            lambda tx: store.sessions.process_gone(tx, session_id, row.owner, row.generation)
        )

    # What lost its browser

    def _may_recover(self, tx: Tx, row: Session) -> bool:
        return may_recover(row, tx.now, self._settings.browser_recoveries)

    async def lose(self, row: Session, reason: Reason) -> None:
        """The session has lost its browser: it gets another one, or ends."""
        self._pool.starting.add(row.session_id)
        taken = await self._db.write(lambda tx: self._take_lost(tx, row, reason))
        if taken is not None:
            self._pool.spawn(self._revive(taken, reason))
            return
        self._pool.starting.discard(row.session_id)
        live = self._pool.live.get(row.session_id)
        if live is not None:
            await self._pool.clear(live)

    def _take_lost(self, tx: Tx, row: Session, reason: Reason) -> Session | None:
        """Makes the session this replica's to revive; None when it has ended, or just now ends."""
        if self._pool.draining:
            return None
        if self._may_recover(tx, row):
            began = store.sessions.begin_recovery(tx, row, self._replica)
            return store.sessions.get_anywhere(tx, row.session_id) if began else None
        late = overdue(row, tx.now)
        if late is not None:
            store.sessions.end(tx, row, State.TIMED_OUT, late)
        else:
            store.sessions.end(tx, row, State.CRASHED, reason)
        if row.owner != self._replica:
            store.sessions.process_gone(tx, row.session_id, row.owner, row.generation)
        return None

    async def _revive(self, row: Session, reason: Reason) -> None:
        self._pool.starting.add(row.session_id)
        try:
            recovery, live = await self._revivals.revive(row, reason)
        finally:
            self._pool.starting.discard(row.session_id)
        present = await self._pool.row(row.session_id)
        ours = (self._replica, row.generation)
        current = present is not None and (present.owner, present.generation) == ours
        ended = not current or present is None or present.state not in LIVE
        if live is not None and (ended or has_failed(recovery)):
            await self._pool.clear(live)
        if present is not None and current and has_failed(recovery):
            await self.lose(present, reason)

    async def _end_old(self, row: Session) -> str:
        live = self._pool.live.get(row.session_id)
        if live is not None:
            await self._pool.clear(live)
            return live.browser.exit_reason
        reaped = await asyncio.to_thread(reap_orphans, self._settings.browsers)
        return f"its replica is gone; {reaped} folders of dead replicas were removed"


def _is_left(row: Session) -> bool:
    """Whether a run has left the session for a later one, and none has it."""
    return bool(row.reuse_key) and row.state is State.READY
