"""One SQLite file: a single writer thread that commits many callers' units together.

Each unit keeps its own outcome; one that raises is rolled back alone, by its savepoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import Connection, Engine

from libs import metrics
from libs.clock import Clock
from libs.db.columns import SHARED
from libs.db.database import Database, closed, connections_used, outage, unavailable
from libs.db.tx import Tx
from libs.db.unit import Unit

T = TypeVar("T")
log = logging.getLogger(__name__)
LARGEST_BATCH = 200
BUSY_TIMEOUT_MS = 10_000
READERS = 2


class SqliteDatabase(Database):
    """One SQLite file in WAL mode with FULL synchronous commits and a single writer thread."""

    @classmethod
    async def start(cls, url: str, tables: sa.MetaData, clock: Clock, name: str) -> SqliteDatabase:
        """Opens the file and starts the writer."""
        database = cls(clock, name)
        path = url.removeprefix("sqlite:///")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        database._writer_engine = _sqlite_engine(url, "BEGIN IMMEDIATE")
        database._reader_engine = _sqlite_engine(url, "BEGIN")
        database._units = queue.SimpleQueue()
        database._readers = ThreadPoolExecutor(READERS, thread_name_prefix="db-read")
        await asyncio.to_thread(_create_tables, database._writer_engine, tables)
        database._writer = threading.Thread(target=database._write_loop, name="db-write")
        database._writer.daemon = True
        database._writer.start()
        pools = (database._writer_engine.pool, database._reader_engine.pool)
        metrics.watch_pool(lambda: connections_used(*pools), READERS + 1, database._units.qsize)
        return database

    _writer_engine: Engine
    _reader_engine: Engine
    _units: queue.SimpleQueue[Unit | None]
    _readers: ThreadPoolExecutor
    _writer: threading.Thread
    _closing: bool = False

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Carries a unit out; committed and flushed when this returns."""
        if self._closing:
            raise closed()
        waiting = Unit.of(unit)
        self._units.put(waiting)
        # A caller that gives up does not take its unit back: it may be committed already.
        return await asyncio.shield(waiting.outcome)

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Carries a query out on a consistent snapshot."""

        def run() -> T:
            with self._reader_engine.begin() as connection:
                return query(Tx(connection, self.clock))

        carried = contextvars.copy_context()
        reading = asyncio.get_running_loop().run_in_executor(self._readers, carried.run, run)
        try:
            answer = await reading
        except exc.DBAPIError as error:
            raise self.note(outage(error)) or error from error
        self.note(None)
        return answer

    async def disconnect(self) -> None:
        """Closes every connection that nobody is using; others close when they come back."""
        await asyncio.to_thread(self._writer_engine.dispose)
        await asyncio.to_thread(self._reader_engine.dispose)

    async def connect(self) -> None:
        """Opens the file anew; raises Unavailable when it cannot be read."""
        await self.read(lambda tx: tx.execute(sa.text("SELECT 1")).scalar())

    async def close(self) -> None:
        """Finishes what was handed in and closes the connections."""
        self._closing = True
        self._units.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown()
        self._writer_engine.dispose()
        self._reader_engine.dispose()

    def _write_loop(self) -> None:
        while (first := self._units.get()) is not None:
            batch: list[Unit] = [first]
            closing = False
            with contextlib.suppress(queue.Empty):
                while len(batch) < LARGEST_BATCH:
                    more = self._units.get_nowait()
                    if more is None:
                        closing = True
                        break
                    batch.append(more)
            self._commit(batch)
            if closing:
                return

    def _commit(self, batch: list[Unit]) -> None:
        try:
            with self._writer_engine.begin() as connection:
                for unit in batch:
                    self._run_one(unit, connection, alone=len(batch) == 1)
                self.crash.before_commit()
            self.crash.after_commit()
            self.counters.commits += 1
            metrics.COMMITS.inc()
        except _Alone:
            pass
        except Exception as error:  # noqa: BLE001
            failure = unavailable(error)
            for unit in batch:
                unit.error = unit.error or failure
        self.counters.units += len(batch)
        metrics.UNITS.inc(len(batch))
        for unit in batch:
            unit.commit = self.counters.commits
            try:
                unit.loop.call_soon_threadsafe(unit.acknowledge, self)
            except RuntimeError:
                log.warning("a caller's loop was closed before its unit was committed")

    def _run_one(self, unit: Unit, connection: Connection, *, alone: bool) -> None:
        try:
            if alone:
                unit.run(connection, self.clock)
            else:
                with _savepoint(connection):
                    unit.run(connection, self.clock)
        except Exception as error:
            unit.error = outage(error)
            if alone:
                raise _Alone from None
            # A full disk, say, ends the whole transaction. The driver's COMMIT would then do
            # nothing and raise nothing, and the neighbours would be told of a success.
            if not _in_transaction(connection):
                raise


class _Alone(Exception):
    """Rolls back the transaction of a unit that shares it with nobody."""


@contextlib.contextmanager
def _savepoint(connection: Connection) -> Iterator[None]:
    """What SQLAlchemy's own does, by the driver: that takes a tenth of the time."""
    driver: Any = connection.connection.driver_connection
    driver.execute("SAVEPOINT unit")
    try:
        yield
    except BaseException:
        # Some errors end the whole transaction, and its savepoints with it.
        if _in_transaction(connection):
            driver.execute("ROLLBACK TO unit")
            driver.execute("RELEASE unit")
        raise
    driver.execute("RELEASE unit")


def _in_transaction(connection: Connection) -> bool:
    return bool(getattr(connection.connection.driver_connection, "in_transaction", False))


def _sqlite_engine(url: str, begin: str) -> Engine:
    engine = sa.create_engine(
        url,
        connect_args={"check_same_thread": False},
        pool_size=READERS,
        # Parameters may be secrets, and errors are logged.
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver's own transaction handling begins too late for BEGIN IMMEDIATE.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _create_tables(engine: Engine, tables: sa.MetaData) -> None:
    # BEGIN IMMEDIATE: two replicas that start together take turns.
    with engine.begin() as connection:
        SHARED.create_all(connection)
        tables.create_all(connection)
