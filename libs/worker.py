"""Carries out leased rows: claims what is due, renews while working, hands back on drain.

Woken by a signal when there is something to do; a sweep with a short period is the safety net that
finds what a dead replica left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa

from libs import errors, lease
from libs.clock import Clock
from libs.db import Database, Tx
from libs.lease import Work
from libs.signals import Signals
from libs.stopping import stop, together

log = logging.getLogger(__name__)


class Worker:
    """Performs the due rows of one leased table, up to `concurrency` at a time.

    `due(tx)` is the condition under which a row wants work. `perform(work)` carries one row out and
    must leave it in a state that is no longer due, or due later; it is cancelled when the lease is
    lost or the replica drains, and another replica then claims the row.
    """

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
        due: Callable[[Tx], sa.ColumnElement[bool]],
        perform: Callable[[Work], Awaitable[None]],
        concurrency: int = 32,
        ttl_s: float = 4.0,
        sweep_s: float = 1.0,
        order_by: Any = None,
    ) -> None:
        self.name = name
        self._database = database
        self._signals = signals
        self._clock = clock
        self._owner = owner
        self._topic = topic
        self._table = table
        self._key_column = key_column
        self._due = due
        self._perform = perform
        self._concurrency = concurrency
        self._ttl_s = ttl_s
        self._sweep_s = sweep_s
        self._order_by = order_by
        self._active: dict[tuple[str, int], tuple[Work, asyncio.Task[None]]] = {}
        self._draining = False
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Claims and performs until cancelled."""
        try:
            await together(self._claim_loop(), self._renew_loop())
        finally:
            await self.drain()

    def holds(self, key: str) -> bool:
        """Whether this replica is carrying out the row."""
        return any(held == key for held, _fence in self._active)

    async def drain(self) -> None:
        """Stops claiming, interrupts what is running and hands the leases back."""
        self._draining = True
        await stop(task for _, task in self._active.values())

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
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._room.wait(), self._sweep_s)
                else:
                    await subscription.wait(self._sweep_s)

    async def _claim(self) -> list[Work]:
        room = self._concurrency - len(self._active)
        if room <= 0:
            return []
        # A read costs a tenth of a commit: look before taking.
        if not await self._database.read(self._any_due):
            return []
        claimed = await self._database.write(lambda tx: self._take(tx, room))
        if self._draining:
            # They were claimed while the drain began: nobody here will carry them out.
            await self._database.write(lambda tx: [self._release(tx, work) for work in claimed])
            return []
        for work in claimed:
            task = asyncio.create_task(self._carry_out(work), name=f"{self.name}-{work.key}")
            self._active[work.key, work.fence] = (work, task)
        return claimed

    def _any_due(self, tx: Tx) -> bool:
        table = self._table
        free = sa.or_(table.c.lease_until.is_(None), table.c.lease_until < tx.now)
        query = sa.select(table.c[self._key_column]).where(free, self._due(tx)).limit(1)
        return tx.execute(query).first() is not None

    def _take(self, tx: Tx, limit: int) -> list[Work]:
        return lease.claim(
            tx,
            self._table,
            self._key_column,
            self._owner,
            self._ttl_s,
            where=self._due(tx),
            limit=limit,
            order_by=self._order_by,
        )

    async def _carry_out(self, work: Work) -> None:
        try:
            await self._perform(work)
        except errors.Aborted as lost:
            log.info("%s: %s", self.name, lost.message)
        except errors.PodiumError as error:
            log.warning("%s %s: %s", self.name, work.key, error.message)
            await self._clock.sleep(min(1.0, self._sweep_s))
        except Exception:
            log.exception("%s failed on %s", self.name, work.key)
            # Without a pause a row that always fails would keep the replica busy for ever.
            await self._clock.sleep(1.0)
        finally:
            self._active.pop((work.key, work.fence), None)
            self._room.set()
            if not work.released:
                with contextlib.suppress(Exception):
                    await asyncio.shield(self._database.write(lambda tx: self._release(tx, work)))

    def _release(self, tx: Tx, work: Work) -> None:
        lease.release(tx, self._table, self._key_column, work.key, work.fence)
        tx.notify(self._topic)

    async def _renew_loop(self) -> None:
        while True:
            await self._clock.sleep(self._ttl_s / 4)
            held = list(self._active)
            if not held:
                continue
            try:
                lost = await self._database.write(lambda tx, held=held: self._renew(tx, held))
            except Exception as error:  # noqa: BLE001
                log.warning("%s could not renew: %s", self.name, error)
                continue
            for key, fence in held:
                if key in lost and (key, fence) in self._active:
                    log.warning("%s lost the lease of %s", self.name, key)
                    self._active[key, fence][1].cancel()

    def _renew(self, tx: Tx, held: list[tuple[str, int]]) -> set[str]:
        return lease.renew(tx, self._table, self._key_column, held, self._ttl_s)
