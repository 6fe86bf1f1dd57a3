"""Leased work: done once, taken over from the dead, handed back on drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from redis.asyncio import Redis

from libs import db, errors, lease, metrics, worker
from libs.clock import Clock
from libs.lease import Work
from libs.signals import Signals
from libs.worker import Worker
from tests.support.eventually import eventually

METADATA = sa.MetaData()
jobs = sa.Table(
    "jobs",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("done", sa.Integer, nullable=False, default=0),
    *lease.lease_columns(),
)
NOT_DONE = jobs.c.done == 0


class Replica:
    """One process's worker on the shared table."""

    def __init__(self, database: db.Database, signals: Signals, name: str) -> None:
        self.started: list[str] = []
        self.go_on = asyncio.Event()
        self._db = database
        self.worker = Worker(
            "jobs",
            database=database,
            signals=signals,
            clock=Clock(),
            owner=name,
            topic="jobs",
            table=jobs,
            key_column="name",
            due=NOT_DONE,
            perform=self.perform,
            ttl_s=0.4,
            sweep_s=0.2,
        )
        self.task = asyncio.create_task(self.worker.run())

    async def perform(self, work: Work) -> None:
        self.started.append(work.key)
        await self.go_on.wait()

        def unit(tx: db.Tx) -> None:
            lease.guarded(tx, jobs, "name", work.key, work.fence)
            tx.execute(sa.update(jobs).where(jobs.c.name == work.key).values(done=jobs.c.done + 1))

        await self._db.write(unit)

    async def die(self) -> None:
        """As kill -9 would: nothing is handed back."""
        dead: Any = _Dead()
        self.worker._database = dead
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class _Dead:
    async def write(self, _unit: object) -> None:
        raise RuntimeError("dead")

    read = write


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[db.Database]:
    opened = await db.open_database(f"sqlite:///{tmp_path}/j.db", METADATA, Clock(), "jobs")
    yield opened
    await opened.close()


@pytest.fixture
async def signals(redis_url: str) -> AsyncIterator[Signals]:
    redis = Redis.from_url(redis_url)
    made = Signals(redis, Clock())
    made.start()
    yield made
    await made.close()
    await redis.aclose()


async def add(database: db.Database, signals: Signals, *names: str) -> None:
    def unit(tx: db.Tx) -> None:
        for name in names:
            tx.execute(sa.insert(jobs).values(name=name))

    await database.write(unit)
    signals.notify("jobs")


async def done(database: db.Database) -> dict[str, int]:
    rows = await database.read(lambda tx: tx.execute(sa.select(jobs.c.name, jobs.c.done)).all())
    return {row.name: row.done for row in rows}


async def test_two_replicas_do_each_row_once(database: db.Database, signals: Signals) -> None:
    replicas = [Replica(database, signals, name) for name in ("one", "two")]
    for replica in replicas:
        replica.go_on.set()
    names = [f"j{i:02}" for i in range(40)]
    await add(database, signals, *names)
    await eventually(lambda: _all_done(database, 40), within=10)
    assert sorted(replicas[0].started + replicas[1].started) == names
    for replica in replicas:
        replica.task.cancel()


async def _all_done(database: db.Database, count: int) -> bool:
    found = await done(database)
    return len(found) == count and set(found.values()) == {1}


async def test_a_dead_replicas_row_is_taken_over(database: db.Database, signals: Signals) -> None:
    first = Replica(database, signals, "one")
    await add(database, signals, "j")
    await eventually(lambda: first.started)
    second = Replica(database, signals, "two")
    await first.die()
    second.go_on.set()
    await eventually(lambda: _all_done(database, 1), within=5)
    assert second.started == ["j"]
    second.task.cancel()


async def test_a_zombie_may_not_write(database: db.Database, signals: Signals) -> None:
    zombie = Replica(database, signals, "one")
    await add(database, signals, "j")
    await eventually(lambda: zombie.started)
    # Stopped for longer than its lease: it neither renews nor notices.
    zombie.task.cancel()
    await asyncio.gather(zombie.task, return_exceptions=True)
    second = Replica(database, signals, "two")
    second.go_on.set()
    await eventually(lambda: _all_done(database, 1), within=5)
    zombie.go_on.set()
    await eventually(lambda: not zombie.worker.holds("j"))
    assert await done(database) == {"j": 1}
    second.task.cancel()


async def test_drain_hands_the_lease_back_at_once(database: db.Database, signals: Signals) -> None:
    first = Replica(database, signals, "one")
    await add(database, signals, "j")
    await eventually(lambda: first.started)
    await first.worker.drain()
    row = await database.read(lambda tx: tx.execute(sa.select(jobs)).one())
    assert (row.lease_owner, row.lease_until, row.done) == ("", None, 0)
    first.task.cancel()


async def test_a_hint_crosses_replicas(redis_url: str) -> None:
    redis = Redis.from_url(redis_url)
    here, there = Signals(redis, Clock()), Signals(redis, Clock())
    here.start()
    there.start()
    async with there.subscribe("topic") as subscription:
        await subscription.wait(2)  # the first connection wakes everybody, in case hints were lost
        here.notify("topic")
        assert await subscription.wait(2)
        assert not await subscription.wait(0.05)
    await here.close()
    await there.close()
    await redis.aclose()


class Failing:
    """A worker whose rows called "bad…" fail for ever."""

    def __init__(self, database: db.Database, signals: Signals, concurrency: int) -> None:
        self.tries: list[str] = []
        self._db = database
        self.worker = Worker(
            "jobs",
            database=database,
            signals=signals,
            clock=Clock(),
            owner="one",
            topic="jobs",
            table=jobs,
            key_column="name",
            due=NOT_DONE,
            perform=self.perform,
            concurrency=concurrency,
            sweep_s=0.1,
        )
        self.task = asyncio.create_task(self.worker.run())

    async def perform(self, work: Work) -> None:
        self.tries.append(work.key)
        if work.key.startswith("bad"):
            raise errors.Aborted("again and again") if work.key == "bad0" else ValueError(work.key)
        change = sa.update(jobs).where(jobs.c.name == work.key).values(done=1)
        await self._db.write(lambda tx: tx.execute(change) and None)


async def test_rows_that_always_fail_do_not_starve_the_others(
    database: db.Database, signals: Signals
) -> None:
    failing = Failing(database, signals, concurrency=2)
    # They come first by their keys, and there are more of them than there is room.
    await add(database, signals, *(f"bad{number}" for number in range(6)))
    await add(database, signals, *(f"good{number}" for number in range(6)))

    async def good_ones_done() -> bool:
        return sum((await done(database)).values()) == 6

    await eventually(good_ones_done, within=3)
    assert max(failing.tries.count(f"bad{number}") for number in range(6)) <= 4
    failing.task.cancel()


async def test_a_back_off_ends_when_the_row_is_hastened(
    database: db.Database, signals: Signals
) -> None:
    failing = Failing(database, signals, concurrency=2)
    await add(database, signals, "bad1")
    await eventually(lambda: failing.tries.count("bad1") >= 3)

    async def waits() -> bool:
        row = await database.read(lambda tx: tx.execute(sa.select(jobs)).one())
        return row.lease_owner == "" and row.lease_until is not None

    await eventually(waits)
    tries = len(failing.tries)
    await database.write(lambda tx: lease.hasten(tx, jobs, "name", "bad1"))
    await eventually(lambda: len(failing.tries) > tries, within=0.6)
    failing.task.cancel()


async def test_what_is_drained_before_it_began_is_handed_back(
    database: db.Database, signals: Signals
) -> None:
    replica = Replica(database, signals, "one")
    take_up = replica.worker._take_up
    taken_up = asyncio.Event()

    async def take_up_and_drain(room: int) -> list[Work]:
        taken = await take_up(room)
        taken_up.set()
        replica.worker._draining = True
        for _, task in replica.worker._active.values():
            task.cancel()  # before its first step
        return taken

    replica.worker._take_up = take_up_and_drain
    await add(database, signals, "j")
    await asyncio.wait_for(taken_up.wait(), 5)
    await replica.worker.drain()
    row = await database.read(lambda tx: tx.execute(sa.select(jobs)).one())
    assert (row.lease_owner, row.lease_until, row.done) == ("", None, 0)
    replica.task.cancel()


async def test_work_is_given_up_when_the_lease_cannot_be_renewed(
    database: db.Database, signals: Signals
) -> None:
    replica = Replica(database, signals, "one")
    await add(database, signals, "j")
    await eventually(lambda: replica.started)
    dead: Any = _Dead()
    replica.worker._database = dead
    await eventually(lambda: not replica.worker.holds("j"), within=2)
    assert await done(database) == {"j": 0}
    replica.task.cancel()


async def test_a_worker_is_resized_while_it_works_and_tells_how_long_others_wait(
    database: db.Database, signals: Signals
) -> None:
    worker.resize("another service", 7)
    replica = Replica(database, signals, "a")
    worker.resize("jobs", 1)
    await add(database, signals, "one", "two", "three")
    await eventually(lambda: replica.started == ["one"] and _age() > 0)
    worker.resize("jobs", None)
    await eventually(lambda: sorted(replica.started) == ["one", "three", "two"])
    replica.go_on.set()

    async def all_done() -> bool:
        return list((await done(database)).values()) == [1, 1, 1]

    await eventually(all_done)
    await eventually(lambda: _age() == 0)
    replica.task.cancel()
    await asyncio.gather(replica.task, return_exceptions=True)


def _age() -> float:
    labels = {"worker": "jobs"}
    return metrics.REGISTRY.get_sample_value("podium_work_queue_age_seconds", labels) or 0.0
