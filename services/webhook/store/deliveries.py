"""Deliveries as callers and events see them: made, listed, replayed, recovered, dropped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from libs import errors, ids
from libs.db import Tx
from services.webhook.domain import Announcement, State
from services.webhook.store.tables import DUE, attempts, deliveries, events, padded

_ADD = sa.insert(deliveries)
_TOLD = sa.select(deliveries.c.endpoint_id, deliveries.c.event_id).where(
    deliveries.c.event_id.in_(sa.bindparam("events", expanding=True)),
    deliveries.c.endpoint_id.in_(sa.bindparam("endpoints", expanding=True)),
)
_WITH_BODY = sa.select(deliveries, events.c.body).join(
    events, events.c.event_id == deliveries.c.event_id
)
_BY_ID = _WITH_BODY.where(
    deliveries.c.delivery_id == sa.bindparam("delivery_id"),
    deliveries.c.organization_id == sa.bindparam("organization_id"),
)
_ATTEMPTS = (
    sa.select(attempts)
    .where(
        attempts.c.organization_id == sa.bindparam("organization_id"),
        attempts.c.delivery_id == sa.bindparam("delivery_id"),
    )
    .order_by(attempts.c.number)
)
_DEAD = (
    sa.select(deliveries.c.delivery_id)
    .where(
        deliveries.c.organization_id == sa.bindparam("organization_id"),
        deliveries.c.endpoint_id == sa.bindparam("endpoint_id"),
        deliveries.c.state == State.DEAD.value,
        deliveries.c.delivery_id > sa.bindparam("after"),
        deliveries.c.created_at >= sa.bindparam("since"),
        deliveries.c.created_at < sa.bindparam("until"),
    )
    .order_by(deliveries.c.delivery_id)
    .limit(sa.bindparam("limit"))
)
_MISSED = (
    sa.select(events)
    .where(
        events.c.organization_id == sa.bindparam("organization_id"),
        events.c.position > sa.bindparam("after"),
        events.c.announced_at >= sa.bindparam("since"),
        events.c.announced_at < sa.bindparam("until"),
        ~sa.exists().where(
            deliveries.c.event_id == events.c.event_id,
            deliveries.c.endpoint_id == sa.bindparam("endpoint_id"),
        ),
    )
    .order_by(events.c.position)
    .limit(sa.bindparam("limit"))
)
_REPLAY = (
    sa.update(deliveries)
    .where(
        deliveries.c.delivery_id == sa.bindparam("key"),
        deliveries.c.organization_id == sa.bindparam("organization"),
    )
    .values(
        state=State.PENDING.value,
        round=deliveries.c.round + 1,
        tries=0,
        due_at=sa.bindparam("at", type_=deliveries.c.due_at.type),
        ended_at=None,
    )
)


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


def add_deliveries(tx: Tx, wanted: Iterable[tuple[str, Announcement]]) -> list[str]:
    """A delivery that is due now for each endpoint and event, unless there is one; their ids."""
    pairs = {(endpoint_id, event.event_id): event for endpoint_id, event in wanted}
    if not pairs:
        return []
    endpoint_ids, event_ids = (sorted(set(part)) for part in zip(*pairs, strict=True))
    told = tx.execute(_TOLD, {"events": padded(event_ids), "endpoints": padded(endpoint_ids)})
    for row in told:
        pairs.pop((row.endpoint_id, row.event_id), None)
    rows = [_row(endpoint_id, event, tx.now) for (endpoint_id, _), event in pairs.items()]
    if rows:
        tx.execute(_ADD, rows)
        tx.notify(DUE)
    return [row["delivery_id"] for row in rows]


def _row(endpoint_id: str, event: Announcement, now: datetime) -> dict[str, Any]:
    return {
        "delivery_id": ids.new("whd"),
        "organization_id": event.organization_id,
        "endpoint_id": endpoint_id,
        "event_id": event.event_id,
        "event_type": event.type,
        "run_id": event.run_id,
        "state": State.PENDING.value,
        "round": 1,
        "tries": 0,
        "attempt_count": 0,
        "due_at": now,
        "created_at": now,
    }


def delivery(tx: Tx, organization_id: str, delivery_id: str) -> Any:
    """A delivery's row with its message; NotFound for somebody else's."""
    row = tx.execute(
        _BY_ID, {"delivery_id": delivery_id, "organization_id": organization_id}
    ).first()
    if row is None:
        raise errors.NotFound("delivery", delivery_id)
    return row


def attempts_of(tx: Tx, organization_id: str, delivery_id: str) -> list[Any]:
    """The attempts of a delivery in the order in which they ended."""
    wanted = {"delivery_id": delivery_id, "organization_id": organization_id}
    return list(tx.execute(_ATTEMPTS, wanted))


def list_deliveries(
    tx: Tx, organization_id: str, wanted: DeliveryFilter, before: str, limit: int
) -> list[Any]:
    """Deliveries newest first, from the one after `before` on."""
    column = deliveries.c
    query = _WITH_BODY.where(column.organization_id == organization_id)
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


def replay(tx: Tx, organization_id: str, delivery_ids: list[str]) -> None:
    """Makes deliveries due now with all their tries before them, whatever their state."""
    if delivery_ids:
        common = {"organization": organization_id, "at": tx.now}
        tx.execute(_REPLAY, [{"key": delivery_id, **common} for delivery_id in delivery_ids])
        tx.notify(DUE)


def dead(
    tx: Tx, endpoint: Any, since: datetime, until: datetime, after: str, limit: int
) -> list[str]:
    """Ids of dead deliveries to an endpoint that were made within a time, oldest first."""
    wanted = _span(endpoint, since, until, limit) | {"after": after}
    return list(tx.execute(_DEAD, wanted).scalars())


def missed(
    tx: Tx, endpoint: Any, since: datetime, until: datetime, after: int, limit: int
) -> list[Any]:
    """Events of a time of which an endpoint has no delivery, whether it wants them or not."""
    wanted = _span(endpoint, since, until, limit) | {"after": after}
    return list(tx.execute(_MISSED, wanted))


def _span(endpoint: Any, since: datetime, until: datetime, limit: int) -> dict[str, Any]:
    return {
        "organization_id": endpoint.organization_id,
        "endpoint_id": endpoint.endpoint_id,
        "since": since,
        "until": until,
        "limit": limit,
    }


def drop(tx: Tx, organization_id: str, condition: sa.ColumnElement[bool]) -> int:
    """Drops the deliveries that have not gone out and meet the condition; answers how many."""
    statement = sa.update(deliveries).where(
        deliveries.c.organization_id == organization_id,
        deliveries.c.state == State.PENDING.value,
        condition,
    )
    return tx.execute(statement.values(state=State.DROPPED.value, ended_at=tx.now)).rowcount
