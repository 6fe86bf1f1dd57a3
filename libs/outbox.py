"""Events written with the state that caused them, and the relay that brings them to the bus.

This module owns the table; `libs.relay` brings its events to the bus.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from libs import context, db, ids, telemetry, wire
from podium.common.v1 import event_pb2

outbox = sa.Table(
    "outbox",
    db.SHARED,
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("event", sa.LargeBinary, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
    sa.Column("published_at", db.Timestamp, index=True),
)
# The newest event about each run, so that the next one can name it.
tails = sa.Table(
    "outbox_tails",
    db.SHARED,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("at", db.Timestamp, nullable=False, index=True),
)
RETENTION = timedelta(hours=24)
# A row this old that is still unmarked has lost its relay.
ORPHAN_AGE = timedelta(seconds=2)
_UNPUBLISHED = (
    sa.select(outbox.c.event)
    .where(outbox.c.published_at.is_(None), outbox.c.created_at < sa.bindparam("before"))
    .order_by(outbox.c.created_at, outbox.c.event_id)
    .limit(sa.bindparam("limit"))
)
# Rows that are removed in one commit; more would hold up the units behind it.
_MOST_REMOVED = 2_000


def add(
    tx: db.Tx,
    type_: str,
    data: dict[str, Any],
    *,
    run_id: str | None,
    workflow_run_id: str | None,
    task_id: str | None,
    organization_id: str | None,
) -> str:
    """Writes an event into the outbox of this commit and answers its id."""
    present = context.current()
    event = event_pb2.Event(
        event_id=ids.new("evt"),
        type=type_,
        organization_id=present.organization_id if organization_id is None else organization_id,
        run_id=present.run_id if run_id is None else run_id,
        workflow_run_id=present.workflow_run_id if workflow_run_id is None else workflow_run_id,
        task_id=present.task_id if task_id is None else task_id,
        request_id=present.request_id,
        traceparent=telemetry.traceparent(),
        occurred_at=wire.timestamp(tx.now),
        data=wire.struct(data),
    )
    if event.run_id:
        event.previous_event_id = _follow(tx, event)
    if not tx.outgoing:
        tx.at_end(_write)
    tx.outgoing.append(event)
    return event.event_id


def _write(tx: db.Tx) -> None:
    """Writes the events of a unit, each as it then is."""
    now = tx.now
    rows = [
        {"event_id": event.event_id, "event": event.SerializeToString(), "created_at": now}
        for event in tx.outgoing
    ]
    tx.insert(outbox, *rows)


def _follow(tx: db.Tx, event: event_pb2.Event) -> str:
    """Makes an event the newest about its run, and answers the one before it."""
    key = (tails, event.run_id)
    tail = tx.known.get(key)
    if tail is None:
        row = tx.first(tails, run_id=event.run_id)
        tail = tx.known[key] = _Tail(event.run_id, "" if row is None else row.event_id)
        tx.at_end(tail.write)
    before, tail.event_id = tail.event_id, event.event_id
    return before


@dataclass(eq=False)
class _Tail:
    """The newest event about a run, as a unit has read and changed it."""

    run_id: str
    event_id: str

    def __post_init__(self) -> None:
        self._is_new = not self.event_id

    def write(self, tx: db.Tx) -> None:
        """Writes which it is."""
        values = {"event_id": self.event_id, "at": tx.now}
        if self._is_new:
            tx.insert(tails, {"run_id": self.run_id, **values})
        else:
            tx.update(tails, {"run_id": self.run_id}, **values)


def unpublished(tx: db.Tx, limit: int, *, orphans_only: bool) -> list[event_pb2.Event]:
    """Events that are not marked as published, in the order of their commits."""
    now = tx.now
    asked = {"before": now - ORPHAN_AGE if orphans_only else now + RETENTION, "limit": limit}
    return [event_pb2.Event.FromString(row.event) for row in tx.execute(_UNPUBLISHED, asked)]


def lost(tx: db.Tx, since: datetime | None, after: str, limit: int) -> list[event_pb2.Event]:
    """Events of the retention that were published after `since` or may have been, by their ids.

    An unmarked row counts: its relay may have published it just before the bus lost it. Ids sort by
    the time they were made, so a page costs no sorting.
    """
    wanted = outbox.c.created_at > tx.now - RETENTION
    if since is not None:
        recent = sa.or_(outbox.c.published_at >= since, outbox.c.published_at.is_(None))
        wanted = sa.and_(wanted, recent)
        if not after:
            first = tx.execute(sa.select(sa.func.min(outbox.c.event_id)).where(recent)).scalar()
            wanted = sa.and_(wanted, outbox.c.event_id >= (first or ""))
    query = sa.select(outbox.c.event).where(wanted, outbox.c.event_id > after)
    query = query.order_by(outbox.c.event_id).limit(limit)
    return [event_pb2.Event.FromString(row.event) for row in tx.execute(query)]


def mark(tx: db.Tx, event_ids: list[str]) -> None:
    """Notes that the bus has taken the events."""
    tx.update(outbox, {"event_id": event_ids}, published_at=tx.now)


def expire(tx: db.Tx) -> None:
    """Removes a part of what nobody will ask for again."""
    for key, moment, age in (
        (outbox.c.event_id, outbox.c.published_at, RETENTION),
        (tails.c.run_id, tails.c.at, 7 * RETENTION),
        (db.inbox.c.event_id, db.inbox.c.received_at, 7 * RETENTION),
    ):
        old = sa.select(key).where(moment < tx.now - age).limit(_MOST_REMOVED)
        tx.execute(sa.delete(key.table).where(key.in_(old)))
