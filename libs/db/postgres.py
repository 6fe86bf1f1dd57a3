"""One PostgreSQL schema over asyncpg: one writer for each replica, which commits units together.

The writers of all replicas take turns by a lock on the schema, held for one commit. So a unit means
the same as on a file: what it read holds until its commit, no two units deadlock, and a batch needs
one flush however many callers it serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from libs import errors, metrics
from libs.clock import Clock
from libs.db.columns import SHARED
from libs.db.database import Database, closed, connections_used, outage, unavailable
from libs.db.tx import Tx
from libs.db.unit import Unit

T = TypeVar("T")
log = logging.getLogger(__name__)
# PostgreSQL keeps 64 subtransactions of a transaction at hand; more slow every snapshot down.
LARGEST_BATCH = 60
READERS = 4
CONNECT_TIMEOUT_S = 5.0
START_WITHIN_S = 60.0
START_PAUSE_S = 0.5
# The server ends a statement that takes so long, which fails its unit and no other. Should it not
# even answer, the driver gives up a little later, and the connection is lost.
STATEMENT_TIMEOUT_S = 9.0
ANSWER_AFTER_S = 1.0
# A replica that was stopped inside a transaction keeps all others from writing until the server
# ends its session. That must be sooner than their leases run out.
ABANDONED_MS = 2_000
_TURN = sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))")


class PostgresDatabase(Database):
    """One PostgreSQL schema over asyncpg."""

    @classmethod
    async def start(
        cls, url: str, tables: sa.MetaData, clock: Clock, schema: str
    ) -> PostgresDatabase:
        """Opens the pool and starts the writer; the schema has the service's name."""
        database = cls(clock, schema)
        database._engine = _engine(url, schema)
        database._reader_engine = database._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        try:
            await database._make_tables_when_it_answers(tables, clock.monotonic() + START_WITHIN_S)
        except BaseException:
            await database._engine.dispose()
            raise
        database._units = deque()
        database._handed_in = asyncio.Event()
        database._writer = asyncio.create_task(database._write_loop(), name="db-write")
        pool, units = database._engine.sync_engine.pool, database._units
        metrics.watch_pool(lambda: connections_used(pool), 2 * READERS + 1, units.__len__)
        return database

    async def _make_tables_when_it_answers(self, tables: sa.MetaData, until: float) -> None:
        """A mesh starts all at once, and its database may be the last to be ready."""
        while True:
            try:
                return await self._make_tables(tables)
            except (OSError, TimeoutError, exc.TimeoutError) as error:
                failure = unavailable(error)
            except exc.DBAPIError as error:
                failure = outage(error)
            if not isinstance(failure, errors.Unavailable) or self.clock.monotonic() > until:
                raise failure
            await self.clock.sleep(START_PAUSE_S)

    async def _make_tables(self, tables: sa.MetaData) -> None:
        async with self._engine.begin() as connection:
            # Two replicas that start together must not both make the tables.
            await connection.execute(_TURN, {"name": self.name})
            await connection.execute(sa.text(f'CREATE SCHEMA IF NOT EXISTS "{self.name}"'))
            await connection.run_sync(SHARED.create_all)
            await connection.run_sync(tables.create_all)

    _engine: AsyncEngine
    _reader_engine: AsyncEngine
    _units: deque[Unit]
    _handed_in: asyncio.Event
    _writer: asyncio.Task[None]
    _connection: AsyncConnection | None = None
    _closing: bool = False

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Carries a unit out; committed and flushed when this returns."""
        if self._closing:
            raise closed()
        waiting = Unit.of(unit)
        self._units.append(waiting)
        self._handed_in.set()
        # A caller that gives up does not take its unit back: it may be committed already.
        return await asyncio.shield(waiting.outcome)

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Carries a query out on a consistent snapshot."""
        try:
            try:
                answer = await self._read(query)
            except exc.DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                # The connection died while it was idle; what only reads may be done again.
                answer = await self._read(query)
        except (OSError, TimeoutError, exc.TimeoutError) as error:
            raise self.note(unavailable(error)) or error from error
        except exc.DBAPIError as error:
            raise self.note(outage(error)) or error from error
        self.note(None)
        return answer

    async def disconnect(self) -> None:
        """Closes every connection that nobody is using; others close when they come back."""
        await self._engine.dispose()

    async def connect(self) -> None:
        """Opens a connection anew; raises Unavailable when the server does not answer."""
        await self.read(lambda tx: tx.execute(sa.text("SELECT 1")).scalar())

    async def _read(self, query: Callable[[Tx], T]) -> T:
        async with self._reader_engine.connect() as connection:
            return await connection.run_sync(lambda sync: query(Tx(sync, self.clock)))

    async def close(self) -> None:
        """Finishes what was handed in and closes the connections."""
        self._closing = True
        self._handed_in.set()
        await self._writer
        await self._engine.dispose()

    async def _write_loop(self) -> None:
        while self._units or not self._closing:
            await self._handed_in.wait()
            self._handed_in.clear()
            while self._units:
                count = min(len(self._units), LARGEST_BATCH)
                await self._commit([self._units.popleft() for _ in range(count)])
        await self._discard()

    async def _commit(self, batch: list[Unit]) -> None:
        try:
            connection = await self._begin()
            if await connection.run_sync(self._carry_out, batch):
                self.crash.before_commit()
                await connection.commit()
                self.crash.after_commit()
                self.counters.commits += 1
                metrics.COMMITS.inc()
            else:
                await connection.rollback()
        except Exception as error:  # noqa: BLE001
            await self._discard()
            failure = unavailable(error)
            for unit in batch:
                unit.error = unit.error or failure
        self.counters.units += len(batch)
        metrics.UNITS.inc(len(batch))
        for unit in batch:
            unit.commit = self.counters.commits
            try:
                unit.acknowledge(self)
            except Exception:
                log.exception("what follows a commit failed")

    async def _begin(self) -> AsyncConnection:
        """The writer's connection, inside a transaction that has its turn."""
        if self._connection is not None:
            # It may have died while it was idle; nothing has been done on it yet.
            with contextlib.suppress(Exception):
                await self._connection.execute(_TURN, {"name": self.name})
                return self._connection
            await self._discard()
        self._connection = await self._engine.connect()
        await self._connection.execute(_TURN, {"name": self.name})
        return self._connection

    async def _discard(self) -> None:
        lost, self._connection = self._connection, None
        if lost is not None:
            with contextlib.suppress(Exception):
                await lost.invalidate()
            with contextlib.suppress(Exception):
                await lost.close()

    def _carry_out(self, connection: Connection, batch: list[Unit]) -> bool:
        """Carries the units out, each on a savepoint of its own; False when none is to be kept."""
        if len(batch) == 1:
            return self._carried_out(batch[0], connection)
        driver = connection.connection.driver_connection
        assert driver is not None
        # One name and one round trip: what was released takes no memory of the server's.
        await_only(driver.execute("SAVEPOINT unit"))
        for unit in batch:
            if self._carried_out(unit, connection):
                await_only(driver.execute("RELEASE SAVEPOINT unit; SAVEPOINT unit"))
            else:
                await_only(driver.execute("ROLLBACK TO SAVEPOINT unit"))
        return True

    def _carried_out(self, unit: Unit, connection: Connection) -> bool:
        try:
            unit.run(connection, self.clock)
        except Exception as error:  # noqa: BLE001
            unit.error = outage(error)
            return False
        return True


def _engine(url: str, schema: str) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=READERS + 1,
        max_overflow=READERS,
        pool_timeout=CONNECT_TIMEOUT_S,
        # Parameters may be secrets, and errors are logged.
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": STATEMENT_TIMEOUT_S + ANSWER_AFTER_S,
            "server_settings": {
                "search_path": schema,
                "application_name": f"podium-{schema}",
                "statement_timeout": str(round(STATEMENT_TIMEOUT_S * 1000)),
                "idle_in_transaction_session_timeout": str(ABANDONED_MS),
            },
        },
    )
