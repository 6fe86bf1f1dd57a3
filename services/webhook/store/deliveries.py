"""Deliveries as callers and events see them: fanned out, listed, replayed, dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from libs import errors, ids
from libs.db import Tx
from services.webhook import domain
from services.webhook.domain import Announcement, State
from services.webhook.store.tables import DUE, attempts, deliveries, endpoints


@dataclass(frozen=True)
class DeliveryFilter:
    """Which deliveries a list shows; empty values restrict nothing."""

    endpoint_id: str = ""
    run_id: str = ""
    state: State | None = None
    sending: bool = False


def is_leased(tx: Tx) -> sa.ColumnElement[bool]:
    """An attempt of the delivery is under way."""
    until = deliveries.c.lease_until
    return sa.and_(until.is_not(None), until >= tx.now)


def wanting(tx: Tx, event: Announcement) -> list[str]:
    """Ids of the endpoints that are to be told of the event and have not been yet."""
    told = sa.select(deliveries.c.endpoint_id).where(deliveries.c.event_id == event.event_id)
    candidates = tx.execute(
        sa.select(endpoints.c.endpoint_id, endpoints.c.event_types).where(
            endpoints.c.organization_id == event.organization_id,
            endpoints.c.disabled.is_(False),
            endpoints.c.deleted_at.is_(None),
            endpoints.c.endpoint_id.not_in(told),
        )
    )
    return [row.endpoint_id for row in candidates if domain.wants(row.event_types, event.type)]


def fan_out(tx: Tx, event: Announcement) -> None:
    """A delivery for each endpoint that wants the event; a repeat of the event adds none."""
    for endpoint_id in wanting(tx, event):
        add_delivery(tx, endpoint_id, event)


def add_delivery(tx: Tx, endpoint_id: str, event: Announcement) -> Any:
    """A delivery that is due now."""
    row = {
        "delivery_id": ids.new("whd"),
        "organization_id": event.organization_id,
        "endpoint_id": endpoint_id,
        "event_id": event.event_id,
        "event_type": event.type,
        "run_id": event.run_id,
        "body": event.body,
        "state": State.PENDING.value,
        "round": 1,
        "tries": 0,
        "attempt_count": 0,
        "due_at": tx.now,
        "created_at": tx.now,
    }
    tx.notify(DUE)
    return tx.execute(sa.insert(deliveries).values(**row).returning(deliveries)).one()


def delivery(tx: Tx, organization_id: str, delivery_id: str) -> Any:
    """A delivery's row; NotFound for somebody else's."""
    row = tx.execute(
        sa.select(deliveries).where(
            deliveries.c.delivery_id == delivery_id,
            deliveries.c.organization_id == organization_id,
        )
    ).first()
    if row is None:
        raise errors.NotFound("delivery", delivery_id)
    return row


def attempts_of(tx: Tx, organization_id: str, delivery_id: str) -> list[Any]:
    """The attempts of a delivery in the order in which they ended."""
    query = sa.select(attempts).where(
        attempts.c.organization_id == organization_id, attempts.c.delivery_id == delivery_id
    )
    return list(tx.execute(query.order_by(attempts.c.number)))


def list_deliveries(
    tx: Tx, organization_id: str, wanted: DeliveryFilter, before: str, limit: int
) -> list[Any]:
    """Deliveries newest first, from the one after `before` on."""
    column = deliveries.c
    query = sa.select(deliveries).where(column.organization_id == organization_id)
    if wanted.endpoint_id:
        query = query.where(column.endpoint_id == wanted.endpoint_id)
    if wanted.run_id:
        query = query.where(column.run_id == wanted.run_id)
    if wanted.state is not None:
        query = query.where(column.state == wanted.state.value)
    if wanted.state is State.PENDING:
        leased = is_leased(tx)
        query = query.where(leased if wanted.sending else sa.not_(leased))
    if before:
        query = query.where(column.delivery_id < before)
    return list(tx.execute(query.order_by(column.delivery_id.desc()).limit(limit)))


def replay(tx: Tx, row: Any) -> Any:
    """Makes a delivery due now with all its tries before it, whatever its state."""
    tx.notify(DUE)
    return tx.execute(
        sa.update(deliveries)
        .where(
            deliveries.c.delivery_id == row.delivery_id,
            deliveries.c.organization_id == row.organization_id,
        )
        .values(
            state=State.PENDING.value,
            round=deliveries.c.round + 1,
            tries=0,
            due_at=tx.now,
            ended_at=None,
        )
        .returning(deliveries)
    ).one()


def drop(tx: Tx, organization_id: str, condition: sa.ColumnElement[bool]) -> int:
    """Drops the deliveries that have not gone out and meet the condition; answers how many."""
    statement = sa.update(deliveries).where(
        deliveries.c.organization_id == organization_id,
        deliveries.c.state == State.PENDING.value,
        condition,
    )
    return tx.execute(statement.values(state=State.DROPPED.value, ended_at=tx.now)).rowcount
