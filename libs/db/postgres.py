"""One PostgreSQL schema over asyncpg: each unit is a transaction, the server groups the flushes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from libs import telemetry
from libs.clock import Clock
from libs.db.columns import SHARED
from libs.db.database import Database, outage
from libs.db.tx import Tx

T = TypeVar("T")


class PostgresDatabase(Database):
    """One PostgreSQL schema over asyncpg."""

    @classmethod
    async def start(
        cls, url: str, tables: sa.MetaData, clock: Clock, schema: str
    ) -> PostgresDatabase:
        """Opens the pool; the schema has the service's name."""
        database = cls(clock, schema)
        database._engine = create_async_engine(
            url,
            pool_size=8,
            max_overflow=8,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"server_settings": {"search_path": schema}},
        )
        async with database._engine.begin() as connection:
            # Two replicas that start together must not both make the tables.
            lock = sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))")
            await connection.execute(lock, {"name": schema})
            await connection.execute(sa.text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            await connection.run_sync(SHARED.create_all)
            await connection.run_sync(tables.create_all)
        return database

    _engine: AsyncEngine

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Carries a unit out; committed and flushed when this returns."""
        try:
            async with self._engine.begin() as connection:
                tx, result = await connection.run_sync(self._carry_out, unit)
                self.crash.before_commit()
            self.crash.after_commit()
        except (sa.exc.DBAPIError, OSError) as error:
            raise outage(error) from error
        self.counters.commits += 1
        self.counters.units += 1
        self.after_commit(tx)
        telemetry.count_commit(self.name, self.counters.commits)
        return result

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Carries a query out on a consistent snapshot."""
        try:
            async with self._engine.connect() as connection:
                _tx, result = await connection.run_sync(self._carry_out, query)
        except (sa.exc.DBAPIError, OSError) as error:
            raise outage(error) from error
        return result

    def _carry_out(self, connection: Connection, unit: Callable[[Tx], T]) -> tuple[Tx, T]:
        tx = Tx(connection, self.clock)
        return tx, unit(tx)

    async def close(self) -> None:
        """Finishes what was handed in and closes the connections."""
        await self._engine.dispose()
