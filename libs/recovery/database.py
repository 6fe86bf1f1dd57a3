"""database_connection_lost: when the database keeps failing, its connections are made anew.

A single failure is the caller's to repeat. Several in a row without a success in between mean that
the connections themselves may be dead (a server that was restarted, a file system that went away).
"""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from libs import errors
from libs.clock import Clock
from libs.db import Database, Tx
from libs.recovery.attempts import Recoveries
from libs.recovery.strategies import Failure, Recovery, Step, StepFailed, Strategy

OUTAGES_IN_A_ROW = 3
LOOK_EVERY_S = 0.25
LONGEST_WAIT_S = 60.0
# After a recovery that failed: the database may be away for hours, and each attempt is recorded.
PAUSE_S = 5.0


class DatabaseWatch:
    """Recovers the database of one process whenever it has failed several times in a row."""

    def __init__(self, database: Database, recoveries: Recoveries, clock: Clock) -> None:
        self._database = database
        self._recoveries = recoveries
        self._clock = clock
        self._lost = asyncio.Event()
        database.on_outage = self._count

    def _count(self, in_a_row: int) -> None:
        if in_a_row >= OUTAGES_IN_A_ROW:
            self._lost.set()

    async def run(self) -> None:
        """Waits for outages and recovers from each, until cancelled."""
        while True:
            await self._lost.wait()
            recovery = await self.recover()
            self._lost.clear()
            if recovery.state != "recovered":
                await self._clock.sleep(PAUSE_S)

    async def recover(self) -> Recovery:
        """Closes what is open, waits for the database, opens anew and proves that it works."""
        database = self._database
        in_a_row = database.counters.outages_in_a_row
        strategy = Strategy(
            Failure.DATABASE_CONNECTION_LOST,
            (
                Step("close_existing_connections", database.disconnect),
                Step("wait_for_database", self._wait, LONGEST_WAIT_S),
                Step("recreate_connection_pool", database.connect),
                Step("verify_connectivity", self._read),
            ),
            verify=self._write,
        )
        reason = f"{in_a_row} units of work in a row met no database"
        return await self._recoveries.attempt(strategy, subject=database.name, reason=reason)

    async def _wait(self) -> str:
        attempts = 1
        while True:
            try:
                await self._database.read(_ping)
                return f"it answered at attempt {attempts}"
            except errors.Unavailable:
                attempts += 1
                await self._clock.sleep(LOOK_EVERY_S)

    async def _read(self) -> str:
        if await self._database.read(_ping) != 1:
            raise StepFailed("the database answers nonsense")
        return "a read succeeded on a new connection"

    async def _write(self) -> str:
        await self._database.write(_ping)
        return "a unit of work was committed"


def _ping(tx: Tx) -> int:
    return tx.execute(sa.select(sa.literal(1))).scalar_one()
