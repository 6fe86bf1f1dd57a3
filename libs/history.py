"""Append-only history: for each stream (a run, say) events 1, 2, 3 … without gaps.

Each entry's hash covers the one before it, so that a changed, removed or inserted entry shows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from libs import context, db

heads = sa.Table(
    "history_heads",
    db.SHARED,
    sa.Column("stream_id", sa.String(64), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
history = sa.Table(
    "history",
    db.SHARED,
    sa.Column("stream_id", sa.String(64), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("source", sa.String(32), nullable=False),
    sa.Column("occurred_at", db.Timestamp, nullable=False),
    sa.Column("request_id", sa.String(128), nullable=False),
    sa.Column("data", db.JSON, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

_SINCE = (
    sa.select(history)
    .where(history.c.stream_id == sa.bindparam("stream_id"))
    .where(history.c.sequence > sa.bindparam("after"))
    .order_by(history.c.sequence)
    .limit(sa.bindparam("limit"))
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a stream."""

    stream_id: str
    sequence: int
    type: str
    source: str
    occurred_at: datetime
    data: dict[str, Any]
    hash: str


def topic(stream_id: str) -> str:
    """The signal that wakes whoever follows the stream."""
    return f"history:{stream_id}"


def append(
    tx: db.Tx,
    stream_id: str,
    type_: str,
    data: dict[str, Any],
    *,
    source: str,
    occurred_at: datetime | None = None,
) -> int:
    """Adds an event and answers its sequence; followers are woken after the commit.

    It is written at the end of the unit. Units are carried out one at a time, so the head that was
    read is still the head then.
    """
    occurred_at = occurred_at or tx.now
    head = _head(tx, stream_id)
    sequence = head.sequence + 1
    digest = chained(head.hash, stream_id, sequence, type_, source, occurred_at, data)
    row = {
        "stream_id": stream_id,
        "sequence": sequence,
        "organization_id": context.current().organization_id,
        "type": type_,
        "source": source,
        "occurred_at": occurred_at,
        "request_id": context.current().request_id,
        "data": data,
        "hash": digest,
    }
    if not head.rows:
        tx.at_end(head.write)
        tx.notify(topic(stream_id))
    head.rows.append(row)
    head.sequence, head.hash = sequence, digest
    return sequence


def last_sequence(tx: db.Tx, stream_id: str) -> int:
    """The sequence of a stream's last event, with those that this unit has added."""
    return _head(tx, stream_id).sequence


def remember(tx: db.Tx, stream_id: str, sequence: int, hash_: str) -> None:
    """Tells a unit the head of a stream that it has read together with something else."""
    tx.known.setdefault((heads, stream_id), _Head(stream_id, sequence, hash_))


@dataclass(eq=False)
class _Head:
    """The end of a stream as a unit sees it, and the events that it adds."""

    stream_id: str
    sequence: int = 0
    hash: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def write(self, tx: db.Tx) -> None:
        """Writes the events, and the head once for all of them."""
        tx.insert(history, *self.rows)
        end: dict[str, Any] = {"sequence": self.sequence, "hash": self.hash}
        if self.rows[0]["sequence"] == 1:
            tx.insert(heads, {"stream_id": self.stream_id, **end})
        else:
            tx.update(heads, {"stream_id": self.stream_id}, **end)


def _head(tx: db.Tx, stream_id: str) -> _Head:
    known = tx.known.get((heads, stream_id))
    if known is None:
        row = tx.first(heads, stream_id=stream_id)
        known = _Head(stream_id) if row is None else _Head(stream_id, row.sequence, row.hash)
        tx.known[heads, stream_id] = known
    return known


def since(tx: db.Tx, stream_id: str, after: int, limit: int = 500) -> list[Entry]:
    """The events just after sequence `after`, in order."""
    asked = {"stream_id": stream_id, "after": after, "limit": limit}
    return [
        Entry(
            row.stream_id, row.sequence, row.type, row.source, row.occurred_at, row.data, row.hash
        )
        for row in tx.execute(_SINCE, asked)
    ]


def chained(
    previous: str,
    stream_id: str,
    sequence: int,
    type_: str,
    source: str,
    occurred_at: datetime,
    data: dict[str, Any],
) -> str:
    """SHA-256 in hex over the previous hash and the event in canonical JSON (sorted keys)."""
    facts = [previous, stream_id, sequence, type_, source, occurred_at.isoformat(), data]
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()
