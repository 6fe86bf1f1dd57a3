"""A process with one worker, for tests that stop and kill real ones.

    python -m tests.contract.libs.replica_process URL SCHEMA NAME TTL_S GATE

It performs each job by noting its turn, waiting a moment and until the file GATE exists, and adding
one to `done` under its fence. It is stubborn: it tries to write even when its work is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import sqlalchemy as sa

from libs import db, errors, lease
from libs.clock import Clock
from libs.lease import Work
from libs.signals import Signals
from libs.worker import Worker

METADATA = sa.MetaData()
jobs = sa.Table(
    "jobs",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("done", sa.Integer, nullable=False, default=0),
    *lease.lease_columns(),
)
NOT_DONE = jobs.c.done == 0
# The key says it: two turns with one fence cannot both be noted.
turns = sa.Table(
    "turns",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("fence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("at", db.Timestamp, nullable=False),
)
troubles = sa.Table(
    "troubles",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
)


class Stubborn:
    """Performs jobs, and writes even when it is told to stop."""

    def __init__(self, database: db.Database, owner: str, gate: Path) -> None:
        self._db = database
        self._owner = owner
        self._gate = gate

    async def perform(self, work: Work) -> None:
        """One job."""
        try:
            await self._db.write(lambda tx: self._note_turn(tx, work))
            await asyncio.sleep(0.1)
            while not self._gate.exists():
                await asyncio.sleep(0.02)
        finally:
            # A refusal is told by an error of its own, not by the cancellation.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._finish(work))

    def _note_turn(self, tx: db.Tx, work: Work) -> None:
        turn = {"name": work.key, "fence": work.fence, "owner": self._owner, "at": tx.now}
        tx.execute(sa.insert(turns).values(**turn))

    async def _finish(self, work: Work) -> None:
        if not self._gate.exists():
            return

        def unit(tx: db.Tx) -> None:
            lease.guarded(tx, jobs, "name", work.key, work.fence)
            tx.execute(sa.update(jobs).where(jobs.c.name == work.key).values(done=jobs.c.done + 1))

        try:
            await self._db.write(unit)
        except errors.Aborted as refused:
            await self._trouble(work, refused.reason)

    async def _trouble(self, work: Work, kind: str) -> None:
        row = {"owner": self._owner, "name": work.key, "kind": kind}
        await self._db.write(lambda tx: tx.execute(sa.insert(troubles).values(**row)) and None)


async def main(url: str, schema: str, owner: str, ttl_s: float, gate: Path) -> None:
    """Works until it is killed."""
    database = await db.open_database(url, METADATA, Clock(), schema)
    worker = Worker(
        "jobs",
        database=database,
        signals=Signals(None, Clock()),
        clock=Clock(),
        owner=owner,
        topic="jobs",
        table=jobs,
        key_column="name",
        due=NOT_DONE,
        perform=Stubborn(database, owner, gate).perform,
        concurrency=4,
        ttl_s=ttl_s,
        sweep_s=min(1.0, ttl_s / 4),
    )
    await worker.run()


if __name__ == "__main__":
    _, place, schema_name, own_name, lease_s, gate_file = sys.argv
    asyncio.run(main(place, schema_name, own_name, float(lease_s), Path(gate_file)))
