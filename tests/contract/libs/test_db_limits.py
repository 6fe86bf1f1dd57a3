"""A store at its limits: a disk without room, a clock that is wrong, a writer that is frozen."""

from __future__ import annotations

import asyncio
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from libs import db, errors, lease
from libs.clock import Clock
from tests.contract.libs.test_db_faults import METADATA, add, schema_of, server, texts
from tests.support.postgres import Server

__all__ = ["server"]
LEASED = sa.MetaData()
jobs = sa.Table(
    "jobs", LEASED, sa.Column("name", sa.String(64), primary_key=True), *lease.lease_columns()
)
# Holds the file's only lock for writers, says so, and is stopped there.
HOLDER = """
import asyncio, sys, time
from libs import db
from libs.clock import Clock
from tests.contract.libs.test_db_faults import METADATA, add

def slow(tx):
    add("zombie")(tx)
    print("inside", flush=True)
    time.sleep(1)

async def main():
    database = await db.open_database(sys.argv[1], METADATA, Clock(), "n")
    await database.write(slow)
    print("committed", flush=True)
asyncio.run(main())
"""


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What a full disk is to one process: no file of its grows any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


async def test_a_disk_without_room_loses_nothing_and_is_used_again(tmp_path: Path) -> None:
    path = tmp_path / "n.db"
    database = await db.open_database(f"sqlite:///{path}", METADATA, Clock(), "n")
    told = [await database.write(add("before"))]
    units = [add(f"{number}" + "x" * 20_000) for number in range(20)]
    with no_file_larger_than(120_000):
        outcomes = await asyncio.gather(*map(database.write, units), return_exceptions=True)
        more = await asyncio.gather(database.write(add("y" * 200_000)), return_exceptions=True)
        assert await database.read(texts) == told + [o for o in outcomes if isinstance(o, str)]
    refused = [o for o in (*outcomes, *more) if not isinstance(o, str)]
    assert refused
    assert {type(outcome) for outcome in refused} == {errors.Unavailable}
    told += [outcome for outcome in outcomes if isinstance(outcome, str)]
    told.append(await database.write(add("after")))
    assert await database.read(texts) == told
    await database.close()


class Wrong(Clock):
    """A machine's clock that is off."""

    def __init__(self, by_s: float) -> None:
        super().__init__()
        self._by = timedelta(seconds=by_s)

    def now(self) -> datetime:
        return super().now() + self._by


@pytest.mark.parametrize("by_s", [-90.0, 90.0])
async def test_a_lease_is_timed_by_the_servers_clock_and_no_other(
    server: Server, tmp_path: Path, by_s: float
) -> None:
    right = await db.open_database(server.url, LEASED, Clock(), schema_of(tmp_path))
    wrong = await db.open_database(server.url, LEASED, Wrong(by_s), schema_of(tmp_path))
    await right.write(lambda tx: tx.insert(jobs, {"name": "one"}))

    def take(owner: str) -> Callable[[db.Tx], list[lease.Work]]:
        return lambda tx: lease.claim(tx, jobs, "name", owner, 30.0)

    for first, second in ((right, wrong), (wrong, right)):
        (held,) = await first.write(take("first"))
        assert await second.write(take("second")) == []
        await first.write(
            lambda tx, held=held: lease.release(tx, jobs, "name", held.key, held.fence)
        )
    await right.close()
    await wrong.close()


async def test_a_replica_frozen_while_it_writes_a_file_delays_the_others_and_no_more(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/n.db"
    database = await db.open_database(url, METADATA, Clock(), "n")
    zombie = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True
    )
    assert zombie.stdout is not None
    try:
        assert (await asyncio.to_thread(zombie.stdout.readline)).strip() == "inside"
        zombie.send_signal(signal.SIGSTOP)
        writing = asyncio.create_task(database.write(add("other")))
        # Who only reads is not kept waiting; who writes is, for a file has no server to end it.
        assert await database.read(texts) == []
        assert not writing.done()
        zombie.send_signal(signal.SIGCONT)
        assert (await asyncio.to_thread(zombie.stdout.readline)).strip() == "committed"
        assert await writing == "other"
    finally:
        zombie.kill()
        zombie.wait()
    assert await database.read(texts) == ["zombie", "other"]
    await database.close()
