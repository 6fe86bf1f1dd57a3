"""Carries out leased rows: claims what is due, renews while working, hands back on drain.

Woken by a signal when there is something to do; a sweep with a short period is the safety net that
finds what a dead replica left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa

from libs import errors, lease, metrics
from libs.clock import Clock
from libs.db import Database, Tx
from libs.lease import Work
from libs.recovery import Recoveries
from libs.recovery.takeover import Takeovers
from libs.signals import Signals
from libs.stopping import stop, together

# A row that keeps failing must not keep the others waiting, nor busy the replicas.
SHORTEST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 10.0
MOST_BACKOFFS = 10_000
_ALL: weakref.WeakSet[Worker] = weakref.WeakSet()
log = logging.getLogger(__name__)


def resize(service: str, concurrency: int | None) -> None:
    """Changes how many rows each worker of a service carries out at once; None: as it was made."""
    for worker in _ALL:
        if worker.service == service:
            worker.resize(concurrency)


class Worker:
    """Performs the due rows of one leased table, up to `concurrency` at a time.

    `due` is the condition under which a row wants work, built once, with `lease.NOW` for the
    present. `perform(work)` carries one row out and must leave it in a state that is no longer due,
    or due later; it is cancelled when the lease is lost or the replica drains, and another replica
    then claims the row.
    """

    # Since when there has been work that there was no room for.
    _full_since: float | None = None

    def __init__(
        self,
        name: str,
        *,
        database: Database,
        signals: Signals,
        clock: Clock,
        owner: str,
        topic: str,
        table: sa.Table,
        key_column: str,
        due: sa.ColumnElement[bool],
        perform: Callable[[Work], Awaitable[None]],
        concurrency: int = 32,
        ttl_s: float = 4.0,
        sweep_s: float = 0.5,
        order_by: Any = None,
        recoveries: Recoveries | None = None,
    ) -> None:
        self.name = name
        self._recoveries = recoveries
        self._database, self.service = database, database.name
        self._signals = signals
        self._clock = clock
        self._owner, self._topic = owner, topic
        self._table, self._key_column = table, key_column
        self._due = due
        self._perform = perform
        self._concurrency = self._usual_concurrency = concurrency
        self._ttl_s, self._sweep_s = ttl_s, sweep_s
        self._order_by = order_by
        self._active: dict[tuple[str, int], tuple[Work, asyncio.Task[None]]] = {}
        self._handing_back: set[asyncio.Task[None]] = set()
        self._backoffs: dict[str, int] = {}
        self._renewed_at = clock.monotonic()
        self._taking: asyncio.Task[list[Work]] | None = None
        self._draining = False
        self._room = asyncio.Event()
        metrics.count_work(name, lambda: len(self._active), concurrency, self._queue_age_s)
        _ALL.add(self)

    async def run(self) -> None:
        """Claims and performs until cancelled."""
        try:
            await together(self._claim_loop(), self._renew_loop())
        finally:
            await self.drain()

    def resize(self, concurrency: int | None) -> None:
        """Changes how many rows are carried out at once; what is under way goes on."""
        self._concurrency = concurrency or self._usual_concurrency
        metrics.WORK_ROOM.labels(self.name).set(self._concurrency)
        self._room.set()

    def holds(self, key: str) -> bool:
        """Whether this replica is carrying out the row."""
        return any(held == key for held, _fence in self._active)

    async def drain(self) -> None:
        """Stops claiming, interrupts what is running and hands the leases back."""
        self._draining = True
        if self._taking is not None:
            await asyncio.wait([self._taking])
        await stop(task for _, task in self._active.values())
        for work, _task in list(self._active.values()):
            self._end(work, 0.0)
        while self._handing_back:
            await asyncio.wait(self._handing_back)

    async def _claim_loop(self) -> None:
        async with self._signals.subscribe(self._topic) as subscription:
            while not self._draining:
                try:
                    claimed = await self._claim()
                except Exception as error:  # noqa: BLE001
                    log.warning("%s could not claim: %s", self.name, error)
                    claimed = []
                if claimed:
                    continue
                if len(self._active) >= self._concurrency:
                    self._room.clear()
                    await self._note_queue()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._room.wait(), self._sweep_s)
                else:
                    self._full_since = None
                    await subscription.wait(self._sweep_s)

    async def _note_queue(self) -> None:
        """Notices since when there has been work that there was no room for."""
        try:
            waits = await self._database.read(self._any_due)
        except errors.PodiumError:
            return
        now = self._clock.monotonic()
        self._full_since = (self._full_since or now) if waits else None

    def _queue_age_s(self) -> float:
        return 0.0 if self._full_since is None else self._clock.monotonic() - self._full_since

    async def _claim(self) -> list[Work]:
        room = self._concurrency - len(self._active)
        if room <= 0:
            return []
        # A read costs a tenth of a commit: look before taking.
        if not await self._database.read(self._any_due):
            return []
        # A task of its own: rows that were taken when a cancellation comes are not forgotten.
        self._taking = asyncio.create_task(self._take_up(room), name=f"{self.name}-take")
        return await asyncio.shield(self._taking)

    async def _take_up(self, room: int) -> list[Work]:
        claimed = await self._database.write(lambda tx: self._take(tx, room))
        if self._draining:
            # They were claimed while the drain began: nobody here will carry them out.
            await self._database.write(lambda tx: [self._release(tx, work) for work in claimed])
            return []
        if not self._active:
            self._renewed_at = self._clock.monotonic()
        for work in claimed:
            if work.taken_from:
                metrics.LEASES_TAKEN_OVER.labels(self.name).inc()
            self._displace(work.key)
            task = asyncio.create_task(self._carry_out(work), name=f"{self.name}-{work.key}")
            self._active[work.key, work.fence] = (work, task)
            # A task that is cancelled before it begins never comes to its own end.
            task.add_done_callback(lambda _task, work=work: self._end(work, 0.0))
        return claimed

    def _displace(self, key: str) -> None:
        """Ends the earlier turn of a row whose lease ran out while this very replica held it."""
        for (held, _fence), (_work, task) in list(self._active.items()):
            if held == key:
                task.cancel()

    def _any_due(self, tx: Tx) -> bool:
        return lease.any_due(tx, self._table, self._key_column, self._due)

    def _take(self, tx: Tx, limit: int) -> list[Work]:
        return lease.claim(
            tx,
            self._table,
            self._key_column,
            self._owner,
            self._ttl_s,
            due=self._due,
            limit=limit,
            order_by=self._order_by,
        )

    async def _carry_out(self, work: Work) -> None:
        backoff_s = 0.0
        try:
            if work.taken_from and self._recoveries is not None:
                taken = Takeovers(self._recoveries, self._database)
                await taken.record(self._table, self._key_column, work)
            await self._perform(work)
            self._backoffs.pop(work.key, None)
        except errors.Aborted as lost:
            log.info("%s: %s", self.name, lost.message)
            if lost.reason != lease.LOST:
                backoff_s = self._backoff_s(work.key)
        except errors.PodiumError as error:
            backoff_s = self._backoff_s(work.key)
            log.warning("%s %s: %s", self.name, work.key, error.message)
        except Exception:
            backoff_s = self._backoff_s(work.key)
            log.exception("%s failed on %s", self.name, work.key)
        finally:
            self._end(work, backoff_s)

    def _backoff_s(self, key: str) -> float:
        """The wait before a row that failed is taken up again, by whichever replica."""
        if len(self._backoffs) > MOST_BACKOFFS:
            self._backoffs.clear()
        failures = self._backoffs[key] = self._backoffs.get(key, 0) + 1
        return min(SHORTEST_BACKOFF_S * 2 ** min(failures - 1, 16), LONGEST_BACKOFF_S)

    def _end(self, work: Work, backoff_s: float) -> None:
        """Makes room for another row, and hands the lease back unless that has been done."""
        if self._active.pop((work.key, work.fence), None) is None:
            return
        self._room.set()
        if not work.released:
            # A task of its own: a cancellation that comes now must not keep the lease.
            task = asyncio.create_task(self._hand_back(work, backoff_s), name=f"{self.name}-back")
            self._handing_back.add(task)
            task.add_done_callback(self._handing_back.discard)

    async def _hand_back(self, work: Work, backoff_s: float) -> None:
        try:
            await self._database.write(lambda tx: self._release(tx, work, backoff_s))
        except Exception as error:  # noqa: BLE001
            # Nothing is lost: it runs out by itself.
            log.warning("%s could not hand %s back: %s", self.name, work.key, error)

    def _release(self, tx: Tx, work: Work, backoff_s: float = 0.0) -> None:
        lease.release(
            tx, self._table, self._key_column, work.key, work.fence, not_before_s=backoff_s
        )
        if not backoff_s:
            tx.notify(self._topic)

    async def _renew_loop(self) -> None:
        while True:
            await self._clock.sleep(self._ttl_s / 4)
            held = list(self._active)
            lost = await self._lost(held) if held else set()
            if not held:
                self._renewed_at = self._clock.monotonic()
            for key, fence in held:
                if key in lost and (key, fence) in self._active:
                    log.warning("%s lost the lease of %s", self.name, key)
                    metrics.LEASES_LOST.labels(self.name).inc()
                    self._active[key, fence][1].cancel()

    async def _lost(self, held: list[tuple[str, int]]) -> set[str]:
        """Prolongs the leases and answers those that are gone, or may be for all we know.

        This process may have been stopped, or the database away, for longer than a lease: then
        others may have taken the rows, and what goes on here has no cover until it asks again.
        """
        asked_at = self._clock.monotonic()
        left_s = self._renewed_at + self._ttl_s - asked_at
        if left_s <= 0:
            self._renewed_at = asked_at
            return {key for key, _fence in held}
        try:
            async with asyncio.timeout(left_s):
                lost = await self._database.write(lambda tx: self._renew(tx, held))
        except Exception as error:  # noqa: BLE001
            log.warning("%s could not renew: %r", self.name, error)
            return set()
        self._renewed_at = asked_at
        return lost

    def _renew(self, tx: Tx, held: list[tuple[str, int]]) -> set[str]:
        return lease.renew(tx, self._table, self._key_column, held, self._ttl_s)
