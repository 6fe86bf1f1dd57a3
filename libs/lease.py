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
from functools import cache
from typing import Any

import sqlalchemy as sa

from libs import db, errors

LOST = "LEASE_LOST"
# Stands for the unit's moment in a condition that is built once: executed with {"now": tx.now}.
NOW = sa.bindparam("now", type_=db.Timestamp)
# The condition of a table whose rows all want work, all the time.
EVERY = sa.true()


@dataclass(slots=True)
class Work:
    """A claimed row: its key, the fence it was claimed with, and its columns at that moment.

    Who gives the lease back in the commit that ends the work sets `released`, which saves one.
    `taken_from` is the owner who let the lease run out, as one that was killed does; empty when it
    was given back.
    """

    key: str
    fence: int
    row: Any
    released: bool = False

    @property
    def taken_from(self) -> str:
        """The owner before, if it never gave the lease back."""
        return self.row.lease_from


def lease_columns() -> list[sa.Column[Any]]:
    """The columns that a leased table has."""
    return [
        sa.Column("lease_owner", sa.String(64), nullable=False, default=""),
        sa.Column("lease_fence", sa.BigInteger, nullable=False, default=0),
        # Who held it before and did not give it back: it died, or was frozen for too long.
        sa.Column("lease_from", sa.String(64), nullable=False, default=""),
        sa.Column("lease_until", db.Timestamp),
    ]


def claim(
    tx: db.Tx,
    table: sa.Table,
    key_column: str,
    owner: str,
    ttl_s: float,
    due: sa.ColumnElement[bool] = EVERY,
    limit: int = 1,
    order_by: Any = None,
) -> list[Work]:
    """Takes up to `limit` rows that nobody holds, each with its fence raised by one.

    `due` is a condition that is built once, with `NOW` for the present. One statement takes the
    lease and reads the state, so that no two replicas get one row.
    """
    order = table.c[key_column] if order_by is None else order_by
    until = tx.now + timedelta(seconds=ttl_s)
    asked = {"now": tx.now, "most": limit, "owner": owner, "until": until}
    taken = tx.execute(_claiming(table, key_column, due, order), asked)
    return [Work(row._mapping[key_column], row.lease_fence, row) for row in taken]


def any_due(tx: db.Tx, table: sa.Table, key_column: str, due: sa.ColumnElement[bool]) -> bool:
    """Whether `claim` would find a row; to look costs a tenth of a commit."""
    return tx.execute(_looking(table, key_column, due), {"now": tx.now}).first() is not None


# Asked several times a second: to build these costs more than their answer. Conditions are told
# apart by being the same object, so each is built once by whoever it belongs to.
@cache
def _looking(table: sa.Table, key_column: str, due: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(table.c[key_column]).where(_free(table), due).limit(1)


@cache
def _claiming(
    table: sa.Table, key_column: str, due: sa.ColumnElement[bool], order: sa.ColumnElement[Any]
) -> sa.UpdateBase:
    key = table.c[key_column]
    candidates = sa.select(key).where(_free(table), due).order_by(order)
    most = sa.bindparam("most", type_=sa.Integer)
    # As a CTE it runs once; a planner may run a subquery again and take more than the limit.
    chosen = candidates.limit(most).with_for_update(skip_locked=True).cte("chosen")
    values = {
        "lease_owner": sa.bindparam("owner"),
        "lease_from": table.c.lease_owner,
        "lease_fence": table.c.lease_fence + 1,
        "lease_until": sa.bindparam("until", type_=db.Timestamp),
    }
    one_of_them = key.in_(sa.select(chosen.c[key_column]))
    return sa.update(table).where(one_of_them).values(values).returning(table)


def _free(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.or_(table.c.lease_until.is_(None), table.c.lease_until < NOW)


def renew(
    tx: db.Tx, table: sa.Table, key_column: str, held: Iterable[tuple[str, int]], ttl_s: float
) -> set[str]:
    """Prolongs the leases (key, fence) in one statement and answers the keys that are lost."""
    wanted = list(held)
    if not wanted:
        return set()
    key = table.c[key_column]
    until = sa.literal(tx.now + timedelta(seconds=ttl_s), db.Timestamp)
    # A lease that was given back since this round began stays given back.
    kept = sa.case((table.c.lease_owner == "", table.c.lease_until), else_=until)
    renewed = tx.execute(
        sa.update(table)
        .where(sa.tuple_(key, table.c.lease_fence).in_(wanted))
        .values(lease_until=kept)
        .returning(key)
    )
    return {name for name, _ in wanted} - set(renewed.scalars())


def release(
    tx: db.Tx,
    table: sa.Table,
    key_column: str,
    key: str,
    fence: int,
    *,
    not_before_s: float = 0.0,
) -> None:
    """Gives a lease back; the fence stays, so that late writes are still refused.

    With `not_before_s` nobody takes the row up again until then: the back-off of a row that failed,
    the same for all replicas. `hasten` ends it early.
    """
    until = tx.now + timedelta(seconds=not_before_s) if not_before_s > 0 else None
    held = {key_column: key, "lease_fence": fence}
    tx.update(table, held, lease_owner="", lease_until=until)


def hasten(tx: db.Tx, table: sa.Table, key_column: str, key: str) -> None:
    """Ends a row's back-off, because something about it has changed; a held lease is left alone."""
    tx.update(table, {key_column: key, "lease_owner": ""}, lease_until=None)


def end(tx: db.Tx, tables: sa.MetaData, owners: Iterable[str]) -> int:
    """Ends the leases of owners that are known to be dead; answers how many there were.

    Whoever claims such a row still sees from whom it was taken.
    """
    ended, over = 0, tx.now - timedelta(milliseconds=1)
    for table in tables.tables.values():
        if "lease_owner" in table.c:
            held = (table.c.lease_owner.in_(list(owners)), table.c.lease_until > over)
            statement = sa.update(table).where(*held).values(lease_until=over)
            ended += tx.execute(statement).rowcount
    return ended


def guarded(tx: db.Tx, table: sa.Table, key_column: str, key: str, fence: int) -> None:
    """Raises Aborted (LEASE_LOST) when somebody else has taken the row since.

    The UPDATE that changes nothing locks the row, so the answer holds until the commit.
    """
    if tx.update(table, {key_column: key, "lease_fence": fence}, lease_fence=fence) == 0:
        raise errors.Aborted(
            f"{key} was taken over by another replica", reason=LOST, metadata={"key": key}
        )
