"""Leases between real processes that are stopped, continued and killed, on both stores."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from libs import db
from libs.clock import Clock
from tests.contract.libs.replica_process import METADATA, jobs, troubles, turns
from tests.support.eventually import eventually
from tests.support.postgres import postgres

TTL_S = 4.0

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with postgres() as url:
        yield url


class Stage:
    """The shared table, and the processes that work on it."""

    def __init__(self, url: str, schema: str, folder: Path, database: db.Database) -> None:
        self.gate = folder / "gate"
        self.database = database
        self._place = (url, schema)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, ttl_s: float = TTL_S) -> None:
        program = [sys.executable, "-m", "tests.contract.libs.replica_process"]
        self.processes[name] = subprocess.Popen(
            [*program, *self._place, name, str(ttl_s), str(self.gate)]
        )

    def signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes.pop(name).wait()

    async def add(self, *names: str) -> None:
        def unit(tx: db.Tx) -> None:
            for name in names:
                tx.execute(sa.insert(jobs).values(name=name))

        await self.database.write(unit)

    async def rows(self, table: sa.Table) -> list[sa.Row]:
        return await self.database.read(lambda tx: list(tx.execute(sa.select(table)).all()))


@pytest.fixture(params=["sqlite", "postgres"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/jobs.db"
    else:
        url = request.getfixturevalue("postgres_url")
    schema = "z" + "".join(filter(str.isalnum, tmp_path.name.lower()))[-40:]
    database = await db.open_database(url, METADATA, Clock(), schema)
    made = Stage(url, schema, tmp_path, database)
    try:
        yield made
    finally:
        for name in list(made.processes):
            made.kill(name)
        await database.close()


async def test_a_stopped_replica_is_replaced_in_time_and_refused_afterwards(stage: Stage) -> None:
    stage.start("one")
    stage.start("two")
    await stage.add("j")
    [first] = await eventually(lambda: stage.rows(turns), within=10)
    stage.signal(first.owner, signal.SIGSTOP)
    stopped_at = Clock().now()

    async def both_turns() -> list[sa.Row]:
        return sorted(await stage.rows(turns), key=lambda turn: turn.fence)[1:]

    [second] = await eventually(both_turns, within=8)
    assert second.owner != first.owner
    assert second.fence == first.fence + 1
    assert (second.at - stopped_at).total_seconds() <= TTL_S + 1.0
    stage.gate.touch()
    await eventually(lambda: _done(stage, 1))
    stage.signal(first.owner, signal.SIGCONT)
    [trouble] = await eventually(lambda: stage.rows(troubles))
    assert (trouble.owner, trouble.kind) == (first.owner, "LEASE_LOST")
    assert [job.done for job in await stage.rows(jobs)] == [1]


async def test_no_fence_has_two_turns_whatever_is_stopped_and_killed(stage: Stage) -> None:
    chance = random.Random(7)
    ttl_s = 0.6
    stage.gate.touch()
    for name in ("one", "two", "three"):
        stage.start(name, ttl_s)
    for round_ in range(1, 5):
        await stage.add(*(f"r{round_}-{number:02}" for number in range(24)))
        turn = await eventually(lambda round_=round_: _turn_of(stage, f"r{round_}"), within=15)
        if chance.random() < 0.5:
            stage.kill(turn.owner)
            stage.start(turn.owner, ttl_s)
        else:
            stage.signal(turn.owner, signal.SIGSTOP)
            await asyncio.sleep(ttl_s * (0.8 + chance.random()))
            stage.signal(turn.owner, signal.SIGCONT)
    await eventually(lambda: _done(stage, 4 * 24), within=20)
    rows = await stage.rows(jobs)
    assert {row.done for row in rows} == {1}
    fences = {row.name: row.lease_fence for row in rows}
    noted = await stage.rows(turns)
    assert len(noted) > len(rows), "nothing was interrupted"
    assert all(turn.fence <= fences[turn.name] for turn in noted)


async def _turn_of(stage: Stage, prefix: str) -> sa.Row | None:
    """The latest turn, once one of the jobs with the prefix is being performed."""
    noted = [turn for turn in await stage.rows(turns) if turn.name.startswith(prefix)]
    return max(noted, key=lambda turn: turn.at, default=None)


async def _done(stage: Stage, count: int) -> bool:
    rows = await stage.rows(jobs)
    return len(rows) == count and all(row.done >= 1 for row in rows)
