"""Leases with fences: work in progress belongs to one replica, for a few seconds at a time.

A leased table has the columns of `lease_columns()`. The fence grows with every claim; a state
change is made under `guarded`, so that a replica which was stopped and continued (a zombie) is
refused.
See Kleppmann, "How to do distributed locking" (2016), on fencing tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from libs import db, errors


@dataclass(slots=True)
class Work:
    """A claimed row: its key, the fence it was claimed with, and its columns at that moment.

    Who gives the lease back in the commit that ends the work sets `released`, which saves one.
    """

    key: str
    fence: int
    row: Any
    released: bool = False


def lease_columns() -> list[sa.Column[Any]]:
    """The columns that a leased table has."""
    return [
        sa.Column("lease_owner", sa.String(64), nullable=False, default=""),
        sa.Column("lease_fence", sa.BigInteger, nullable=False, default=0),
        sa.Column("lease_until", db.Timestamp),
    ]


def claim(
    tx: db.Tx,
    table: sa.Table,
    key_column: str,
    owner: str,
    ttl_s: float,
    where: sa.ColumnElement[bool] | None = None,
    limit: int = 1,
    order_by: Any = None,
) -> list[Work]:
    """Takes up to `limit` rows that nobody holds, each with its fence raised by one.

    One statement takes the lease and reads the state, so that no two replicas get one row.
    """
    key = table.c[key_column]
    free = sa.or_(table.c.lease_until.is_(None), table.c.lease_until < tx.now)
    candidates = sa.select(key).where(free).limit(limit).with_for_update(skip_locked=True)
    if where is not None:
        candidates = candidates.where(where)
    candidates = candidates.order_by(key if order_by is None else order_by)
    taken = tx.execute(
        sa.update(table)
        .where(key.in_(candidates))
        .values(
            lease_owner=owner,
            lease_fence=table.c.lease_fence + 1,
            lease_until=tx.now + timedelta(seconds=ttl_s),
        )
        .returning(table)
    )
    return [Work(row._mapping[key_column], row.lease_fence, row) for row in taken]


def renew(
    tx: db.Tx, table: sa.Table, key_column: str, held: Iterable[tuple[str, int]], ttl_s: float
) -> set[str]:
    """Prolongs the leases (key, fence) and answers the keys that are lost."""
    key = table.c[key_column]
    lost: set[str] = set()
    until = tx.now + timedelta(seconds=ttl_s)
    for name, fence in held:
        statement = sa.update(table).where(key == name, table.c.lease_fence == fence)
        # A lease that was given back since this round began stays given back.
        kept = sa.case(
            (table.c.lease_until.is_(None), sa.null()), else_=sa.literal(until, db.Timestamp)
        )
        if tx.execute(statement.values(lease_until=kept)).rowcount == 0:
            lost.add(name)
    return lost


def release(tx: db.Tx, table: sa.Table, key_column: str, key: str, fence: int) -> None:
    """Gives a lease back; the fence stays, so that late writes are still refused."""
    statement = sa.update(table).where(table.c[key_column] == key, table.c.lease_fence == fence)
    tx.execute(statement.values(lease_owner="", lease_until=None))


def guarded(tx: db.Tx, table: sa.Table, key_column: str, key: str, fence: int) -> None:
    """Raises Aborted (LEASE_LOST) when somebody else has taken the row since.

    The UPDATE that changes nothing locks the row, so the answer holds until the commit.
    """
    statement = sa.update(table).where(table.c[key_column] == key, table.c.lease_fence == fence)
    if tx.execute(statement.values(lease_fence=fence)).rowcount == 0:
        raise errors.Aborted(
            f"{key} was taken over by another replica", reason="LEASE_LOST", metadata={"key": key}
        )
