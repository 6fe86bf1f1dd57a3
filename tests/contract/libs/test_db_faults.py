"""Group commit when the store fails: nobody is told of a success that did not happen."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from libs import db, errors
from libs.clock import Clock
from libs.db import postgres
from tests.support.eventually import eventually
from tests.support.postgres import Server, postgres_server

METADATA = sa.MetaData()
notes = sa.Table(
    "notes",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("text", sa.Text, unique=True),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server() as made:
        yield made


def add(text: str) -> Callable[[db.Tx], Any]:
    def unit(tx: db.Tx) -> str:
        tx.execute(sa.insert(notes).values(text=text))
        return text

    return unit


def texts(tx: db.Tx) -> list[str]:
    return list(tx.execute(sa.select(notes.c.text).order_by(notes.c.number)).scalars())


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/n.db"
    return request.getfixturevalue("server").url


def schema_of(tmp_path: Path) -> str:
    return "f" + tmp_path.name.replace("-", "_").replace("[", "").replace("]", "").lower()[-40:]


async def test_units_share_commits_in_the_order_they_were_handed_in(
    url: str, tmp_path: Path
) -> None:
    database = await db.open_database(url, METADATA, Clock(), schema_of(tmp_path))
    acknowledged: list[str] = []

    async def write(text: str) -> None:
        acknowledged.append(await database.write(add(text)))

    await database.write(add("first"))
    before = database.counters.commits
    wanted = [f"t{number:03}" for number in range(300)]
    await asyncio.gather(*(write(text) for text in wanted))
    assert acknowledged == wanted
    assert (await database.read(texts))[1:] == wanted
    assert database.counters.units == 301
    assert database.counters.commits - before <= 10
    await database.close()
    with pytest.raises(errors.Unavailable):
        await database.write(add("too late"))


async def test_what_was_handed_in_is_finished_when_it_closes(url: str, tmp_path: Path) -> None:
    schema = schema_of(tmp_path)
    database = await db.open_database(url, METADATA, Clock(), schema)
    writing = [asyncio.create_task(database.write(add(f"w{i}"))) for i in range(20)]
    await asyncio.sleep(0)
    await database.close()
    assert len(await asyncio.gather(*writing)) == 20


async def test_wrong_data_is_the_units_own_error(url: str, tmp_path: Path) -> None:
    database = await db.open_database(url, METADATA, Clock(), schema_of(tmp_path))

    def wrong(tx: db.Tx) -> None:
        tx.execute(sa.text("SELECT * FROM nowhere"))

    outcomes = await asyncio.gather(
        *(database.write(unit) for unit in (add("a"), wrong, add("b"))),
        return_exceptions=True,
    )
    assert outcomes[::2] == ["a", "b"]
    assert isinstance(outcomes[1], exc.DBAPIError | errors.Unavailable)
    await database.close()


async def test_a_full_disk_fails_all_that_it_rolled_back(tmp_path: Path) -> None:
    database = await db.open_database(f"sqlite:///{tmp_path}/n.db", METADATA, Clock(), "n")
    await database.write(lambda tx: tx.execute(sa.text("PRAGMA max_page_count=40")) and None)
    units = [add(f"{number}" + "x" * 20_000) for number in range(20)]
    outcomes = await asyncio.gather(
        *(database.write(unit) for unit in units),
        return_exceptions=True,
    )
    told = [outcome for outcome in outcomes if isinstance(outcome, str)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, errors.Unavailable)]
    assert refused
    assert len(told) + len(refused) == 20
    assert await database.read(texts) == told
    await database.close()


async def test_a_statement_that_takes_too_long_is_an_outage_of_its_own_unit(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "STATEMENT_TIMEOUT_S", 0.5)
    database = await db.open_database(server.url, METADATA, Clock(), schema_of(tmp_path))

    def endless(tx: db.Tx) -> None:
        tx.execute(sa.text("SELECT pg_sleep(60)"))

    units = (add("a"), endless, add("b"))
    outcomes = await asyncio.gather(*map(database.write, units), return_exceptions=True)
    assert outcomes[::2] == ["a", "b"]
    alone = await asyncio.gather(database.write(endless), return_exceptions=True)
    for outcome in (outcomes[1], *alone):
        assert isinstance(outcome, errors.Unavailable)
        assert outcome.reason == "DATABASE_UNAVAILABLE"
    assert await database.write(add("c")) == "c"
    assert await database.read(texts) == ["a", "b", "c"]
    await database.close()


async def test_a_server_that_crashes_and_comes_back(server: Server, tmp_path: Path) -> None:
    database = await db.open_database(server.url, METADATA, Clock(), schema_of(tmp_path))
    told: list[str] = []
    refused: list[BaseException] = []
    stop = asyncio.Event()

    async def client(name: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                told.append(await database.write(add(f"{name}-{number}")))
            except errors.Unavailable as error:
                refused.append(error)
                await asyncio.sleep(0.05)

    clients = [asyncio.create_task(client(f"c{number}")) for number in range(8)]
    await eventually(lambda: len(told) > 50)
    await asyncio.to_thread(server.stop_immediately)
    await eventually(lambda: refused)
    with pytest.raises(errors.Unavailable):
        await database.read(texts)
    await asyncio.to_thread(server.start)
    so_far = len(told)
    await eventually(lambda: len(told) > so_far + 50, within=10)
    stop.set()
    await asyncio.gather(*clients)
    assert set(told) <= set(await database.read(texts))
    assert database.counters.commits < database.counters.units
    await database.close()


async def test_a_process_waits_for_a_server_that_starts_later(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(server.stop_immediately)
    opening = asyncio.create_task(
        db.open_database(server.url, METADATA, Clock(), schema_of(tmp_path))
    )
    await eventually(lambda: "does not answer" in caplog.text)
    assert not opening.done()
    await asyncio.to_thread(server.start)
    database = await opening
    assert await database.write(add("late")) == "late"
    await database.close()


async def test_a_process_says_what_is_wrong_with_its_database(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "START_WITHIN_S", 0.0)
    await asyncio.to_thread(server.stop_immediately)
    with pytest.raises(errors.Unavailable):
        await db.open_database(server.url, METADATA, Clock(), schema_of(tmp_path))
    await asyncio.to_thread(server.start)


async def test_an_idle_process_does_not_notice_a_restart(server: Server, tmp_path: Path) -> None:
    database = await db.open_database(server.url, METADATA, Clock(), schema_of(tmp_path))
    await database.write(add("before"))
    await asyncio.gather(*(database.read(texts) for _ in range(4)))
    await asyncio.to_thread(server.stop_immediately)
    await asyncio.to_thread(server.start)
    for _ in range(6):
        await database.read(texts)
    await database.write(add("after"))
    assert await database.read(texts) == ["before", "after"]
    await database.close()


# Takes the schema's turn, says so, and is then stopped in the middle of its transaction.
HOLDER = """
import asyncio, sys
from libs import db
from libs.clock import Clock
from tests.contract.libs.test_db_faults import METADATA, add
import libs.db.postgres as postgres

async def main():
    database = await db.open_database(sys.argv[1], METADATA, Clock(), sys.argv[2])
    begin = database._begin
    async def slow():
        connection = await begin()
        print("inside", flush=True)
        await asyncio.sleep(1)
        return connection
    database._begin = slow
    try:
        await database.write(add("zombie"))
        print("committed", flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
asyncio.run(main())
"""


async def test_a_replica_stopped_inside_a_transaction_does_not_hold_the_others(
    server: Server, tmp_path: Path
) -> None:
    schema = schema_of(tmp_path)
    database = await db.open_database(server.url, METADATA, Clock(), schema)
    zombie = subprocess.Popen(
        [sys.executable, "-c", HOLDER, server.url, schema], stdout=subprocess.PIPE, text=True
    )
    assert zombie.stdout is not None
    try:
        assert (await asyncio.to_thread(zombie.stdout.readline)).strip() == "inside"
        zombie.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(3.5):
            await database.write(add("other"))
        zombie.send_signal(signal.SIGCONT)
        assert (await asyncio.to_thread(zombie.stdout.readline)).strip() == "Unavailable"
    finally:
        zombie.kill()
        zombie.wait()
    assert await database.read(texts) == ["other"]
    await database.close()
