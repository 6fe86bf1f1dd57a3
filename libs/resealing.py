"""Seals what a service keeps anew under its newest key, row by row, beside the running replicas.

    PODIUM_SERVICE=totp PODIUM_VAULT_KEYS='{"1": …, "2": …}' python -m libs.resealing

Every replica must know the newest key before: one that does not could not open what is written
here. A service lists its sealed columns as `sealed` on its class; a binary column that is not
listed is reported, so that nobody drops a key that something still needs. The answer is one line
of JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from libs import settings
from libs.clock import Clock
from libs.db import Database, Tx, open_database
from libs.secrets import Vault

# A saved profile may have megabytes.
BATCH = 50


@dataclass(frozen=True)
class SealedColumn:
    """A column that holds sealed values, and the associated data of each."""

    column: sa.Column[Any]
    place: Callable[[Any], bytes]

    @property
    def table(self) -> sa.Table:
        """The table it is in."""
        assert isinstance(self.column.table, sa.Table)
        return self.column.table

    @property
    def key(self) -> sa.Tuple:
        """The primary key, by which the rows are gone through."""
        return sa.tuple_(*self.table.primary_key.columns)

    def key_of(self, row: Any) -> tuple[Any, ...]:
        """The primary key of a row."""
        return tuple(getattr(row, part.name) for part in self.table.primary_key.columns)


@dataclass
class Report:
    """What was found and done."""

    service: str
    resealed: int = 0
    # Sealed values by the id of the key they now rest under.
    under: Counter[int] = field(default_factory=Counter)
    unlisted: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """One line."""
        under = {str(key_id): count for key_id, count in sorted(self.under.items())}
        return json.dumps({**self.__dict__, "under": under})


async def reseal(
    database: Database, vault: Vault, columns: Iterable[SealedColumn], *, write: bool = True
) -> Report:
    """Goes through every sealed value; with `write` off it only counts."""
    report = Report(database.name)
    for column in columns:
        after: Any = None
        while rows := await database.read(lambda tx, c=column, a=after: _batch(tx, c, a)):
            stale = [row for row in rows if vault.key_id(_value(row, column)) != vault.newest]
            done = await _reseal(database, vault, column, stale) if write and stale else 0
            report.resealed += done
            report.under[vault.newest] += len(rows) - len(stale) + done
            if not done:
                report.under.update(vault.key_id(_value(row, column)) for row in stale)
            after = column.key_of(rows[-1])
    return report


def _batch(tx: Tx, column: SealedColumn, after: Any) -> Sequence[Any]:
    # Some rows keep an empty value in place of none.
    query = sa.select(column.table).where(column.column != b"")
    if after is not None:
        query = query.where(column.key > after)
    return tx.execute(query.order_by(*column.table.primary_key.columns).limit(BATCH)).all()


async def _reseal(
    database: Database, vault: Vault, column: SealedColumn, rows: Sequence[Any]
) -> int:
    # Opened and sealed outside the unit, which holds the only place for writing.
    fresh = [
        (row, vault.seal(vault.open(_value(row, column), column.place(row)), column.place(row)))
        for row in rows
    ]

    def unit(tx: Tx) -> int:
        # A value that has changed since it was read was sealed under the newest key by that.
        return sum(
            tx.execute(
                sa.update(column.table)
                .where(column.key == column.key_of(row))
                .where(column.column == _value(row, column))
                .values({column.column: value})
            ).rowcount
            for row, value in fresh
        )

    await database.write(unit)
    return len(fresh)


def _value(row: Any, column: SealedColumn) -> bytes:
    return getattr(row, column.column.name)


def unlisted(tables: sa.MetaData, columns: Iterable[SealedColumn]) -> list[str]:
    """Binary columns that no list of sealed columns names."""
    known = {column.column for column in columns}
    return [
        f"{table.name}.{column.name}"
        for table in tables.sorted_tables
        for column in table.columns
        if isinstance(column.type, sa.LargeBinary) and column not in known
    ]


async def _main() -> None:
    told = settings.load()
    write = settings.environment("PODIUM_RESEAL", "write") == "write"
    module = importlib.import_module(f"services.{told.service}.service")
    service = next(
        kind for kind in vars(module).values() if isinstance(kind, type) and hasattr(kind, "tables")
    )
    columns: list[SealedColumn] = getattr(service, "sealed", [])
    url = told.database_url or f"sqlite:///{told.data.absolute()}/{told.service}.db"
    database = await open_database(url, service.tables, Clock(), schema=told.service)
    try:
        vault = Vault.from_text(told.vault_keys)
        report = await reseal(database, vault, columns, write=write)
    finally:
        await database.close()
    report.service = told.service
    report.unlisted = unlisted(service.tables, columns)
    print(report.as_json())


if __name__ == "__main__":
    asyncio.run(_main())
