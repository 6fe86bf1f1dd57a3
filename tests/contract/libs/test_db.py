"""Units of work: the same promises on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from libs import context, db, errors, history, lease
from libs.clock import Clock
from tests.support.postgres import postgres

METADATA = sa.MetaData()
things = sa.Table(
    "things",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("at", db.Timestamp),
    sa.Column("facts", db.JSON),
    *lease.lease_columns(),
)


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[db.Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/things.db"
    else:
        url = request.getfixturevalue("postgres_url")
    schema = "t" + tmp_path.name.replace("-", "_").lower()[-40:]
    opened = await db.open_database(url, METADATA, Clock(), schema=schema)
    with context.bind(organization_id="org_a"):
        yield opened
    await opened.close()


def add(name: str, **values: object) -> Callable[[db.Tx], Any]:
    def unit(tx: db.Tx) -> str:
        tx.execute(sa.insert(things).values(name=name, at=tx.now, **values))
        return name

    return unit


def names(tx: db.Tx) -> list[str]:
    return list(tx.execute(sa.select(things.c.name).order_by(things.c.name)).scalars())


async def test_a_failing_unit_does_not_fail_its_neighbours(database: db.Database) -> None:
    def fail(tx: db.Tx) -> None:
        tx.execute(sa.insert(things).values(name="half-written"))
        raise errors.Conflict("no")

    units = [add(f"n{i:02}") for i in range(20)]
    units[7] = fail
    outcomes = await asyncio.gather(
        *(database.write(unit) for unit in units), return_exceptions=True
    )
    assert [type(o).__name__ for o in outcomes].count("Conflict") == 1
    assert await database.read(names) == [f"n{i:02}" for i in range(20) if i != 7]


async def test_a_constraint_belongs_to_its_unit(database: db.Database) -> None:
    await database.write(add("a"))
    outcomes = await asyncio.gather(
        *(database.write(add(name)) for name in ("a", "b", "a", "c")), return_exceptions=True
    )
    assert [isinstance(o, exc.IntegrityError) for o in outcomes] == [True, False, True, False]
    assert await database.read(names) == ["a", "b", "c"]


async def test_values_come_back_as_they_were(database: db.Database) -> None:
    facts = {"text": "ä\n", "list": [1, 2.5, None], "deep": {"x": True}}
    await database.write(add("a", facts=facts))
    row = await database.read(lambda tx: tx.execute(sa.select(things)).one())
    assert row.facts == facts
    assert row.at.tzinfo is not None
    assert abs((Clock().now() - row.at).total_seconds()) < 60


async def test_commit_hooks_run_only_for_what_was_committed(database: db.Database) -> None:
    woken: list[set[str]] = []
    database.after_commit = lambda tx: woken.append(tx.topics)

    def good(tx: db.Tx) -> None:
        tx.notify("good")

    def bad(tx: db.Tx) -> None:
        tx.notify("bad")
        raise ValueError

    await asyncio.gather(database.write(good), database.write(bad), return_exceptions=True)
    assert woken == [{"good"}]


async def test_history_has_no_gaps_under_concurrent_writers(database: db.Database) -> None:
    def append(tx: db.Tx) -> int:
        return history.append(tx, "s", "x", {"a": 1}, source="test")

    assert await database.write(append) == 1
    sequences = await asyncio.gather(*(database.write(append) for _ in range(30)))
    assert sorted(sequences) == list(range(2, 32))
    entries = await database.read(lambda tx: history.since(tx, "s", 0))
    previous = ""
    for entry in entries:
        previous = history.chained(
            previous, "s", entry.sequence, "x", "test", entry.occurred_at, entry.data
        )
        assert entry.hash == previous


async def test_an_event_is_new_once(database: db.Database) -> None:
    first = await database.write(lambda tx: tx.first_time("evt_1"))
    again = await database.write(lambda tx: tx.first_time("evt_1"))
    assert (first, again) == (True, False)


async def test_a_lease_is_held_by_one_and_fences_the_other(database: db.Database) -> None:
    for i in range(10):
        await database.write(add(f"n{i}"))

    def take(owner: str, ttl_s: float = 60.0) -> Callable[[db.Tx], list[lease.Work]]:
        return lambda tx: lease.claim(tx, things, "name", owner, ttl_s, limit=6)

    first, second = await asyncio.gather(
        database.write(take("one", 0.2)), database.write(take("two", 0.2))
    )
    keys = [work.key for work in (*first, *second)]
    assert len(keys) == len(set(keys)) == 10
    held = first[0]
    await asyncio.sleep(0.25)
    taken = await database.write(take("three"))
    assert {work.fence for work in taken} == {2}
    lost = await database.write(
        lambda tx: lease.renew(tx, things, "name", [(w.key, w.fence) for w in first], 60)
    )
    assert lost == {work.key for work in first} & {work.key for work in taken}
    if held.key in lost:
        with pytest.raises(errors.Aborted) as refused:
            await database.write(lambda tx: lease.guarded(tx, things, "name", held.key, held.fence))
        assert refused.value.reason == "LEASE_LOST"


async def test_the_leases_of_who_is_known_to_be_dead_end_at_once(database: db.Database) -> None:
    for i in range(4):
        await database.write(add(f"n{i}"))

    def take(owner: str, limit: int) -> Callable[[db.Tx], list[lease.Work]]:
        return lambda tx: lease.claim(tx, things, "name", owner, 60.0, limit=limit)

    dead = await database.write(take("dead", 2))
    await database.write(take("alive", 2))
    assert await database.write(lambda tx: lease.end(tx, METADATA, ["dead", "older"])) == 2
    assert await database.write(lambda tx: lease.end(tx, METADATA, ["dead"])) == 0
    taken = await database.write(take("heir", 4))
    assert {work.key for work in taken} == {work.key for work in dead}
    assert {(work.fence, work.taken_from) for work in taken} == {(2, "dead")}
