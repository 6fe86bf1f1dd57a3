"""Events written with the state that caused them, and the relay that brings them to the bus.

This module owns the table; `libs.relay` brings its events to the bus.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from google.protobuf import struct_pb2, timestamp_pb2

from libs import context, db, ids, telemetry
from podium.common.v1 import event_pb2

outbox = sa.Table(
    "outbox",
    db.SHARED,
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("event", sa.LargeBinary, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
    sa.Column("published_at", db.Timestamp, index=True),
)
RETENTION = timedelta(hours=24)
# A row this old that is still unmarked has lost its relay.
ORPHAN_AGE = timedelta(seconds=2)
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
        occurred_at=_timestamp(tx.now),
        data=_struct(data),
    )
    row = {"event_id": event.event_id, "event": event.SerializeToString(), "created_at": tx.now}
    tx.execute(sa.insert(outbox).values(**row))
    tx.outgoing.append(event)
    return event.event_id


def _timestamp(moment: datetime) -> timestamp_pb2.Timestamp:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _struct(data: dict[str, Any]) -> struct_pb2.Struct:
    packed = struct_pb2.Struct()
    packed.update(data)
    return packed


def unpublished(tx: db.Tx, limit: int, *, orphans_only: bool) -> list[event_pb2.Event]:
    """Events that are not marked as published, in the order of their commits."""
    query = sa.select(outbox.c.event).where(outbox.c.published_at.is_(None))
    if orphans_only:
        query = query.where(outbox.c.created_at < tx.now - ORPHAN_AGE)
    query = query.order_by(outbox.c.created_at, outbox.c.event_id).limit(limit)
    return [event_pb2.Event.FromString(row.event) for row in tx.execute(query)]


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
    statement = sa.update(outbox).where(outbox.c.event_id.in_(event_ids))
    tx.execute(statement.values(published_at=tx.now))


def expire(tx: db.Tx) -> None:
    """Removes a part of what nobody will ask for again."""
    for table, age in ((outbox, RETENTION), (db.inbox, 7 * RETENTION)):
        moment = table.c.published_at if table is outbox else table.c.received_at
        old = sa.select(table.c.event_id).where(moment < tx.now - age).limit(_MOST_REMOVED)
        tx.execute(sa.delete(table).where(table.c.event_id.in_(old)))
