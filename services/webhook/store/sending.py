"""What the delivery engine reads and writes: what is due, where it goes, how it went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from libs.db import Tx
from libs.lease import Work, release
from services.webhook.domain import Attempt, Lanes, State, Verdict
from services.webhook.store.deliveries import is_leased
from services.webhook.store.tables import DUE, attempts, deliveries, endpoints


@dataclass(frozen=True)
class Target:
    """Where a delivery goes, and the sealed secret that signs it."""

    url: str
    secret: bytes


@dataclass(frozen=True)
class Outcome:
    """What a finished attempt made of its delivery; `decided` when it ended the delivery."""

    state: State
    attempt_count: int
    decided: bool


def due(tx: Tx, lanes: Lanes, slots: int) -> sa.ColumnElement[bool]:
    """Up to `slots` deliveries that want an attempt now and find a place in their lanes.

    The oldest come first. Each round leaves out the lanes that are full, so a long queue for one
    endpoint hides nobody.
    """
    for row in tx.execute(_under_way(tx)):
        lanes.occupy(row.endpoint_id, row.organization_id, row.number)
    chosen: list[str] = []
    while len(chosen) < slots:
        rows = tx.execute(_due(tx, lanes, chosen).limit(slots)).all()
        admitted = [
            row.delivery_id for row in rows if lanes.admit(row.endpoint_id, row.organization_id)
        ]
        chosen += admitted
        if len(rows) < slots or not admitted:
            break
    return deliveries.c.delivery_id.in_(chosen[:slots])


def _under_way(tx: Tx) -> sa.Select[*tuple[Any, ...]]:
    column = deliveries.c
    return (
        sa.select(column.endpoint_id, column.organization_id, sa.func.count().label("number"))
        .where(is_leased(tx))
        .group_by(column.endpoint_id, column.organization_id)
    )


def _due(tx: Tx, lanes: Lanes, chosen: list[str]) -> sa.Select[*tuple[Any, ...]]:
    column = deliveries.c
    disabled = sa.select(endpoints.c.endpoint_id).where(endpoints.c.disabled.is_(True))
    return (
        sa.select(column.delivery_id, column.endpoint_id, column.organization_id)
        .where(
            column.state == State.PENDING.value,
            column.due_at <= tx.now,
            sa.not_(is_leased(tx)),
            column.endpoint_id.not_in(disabled),
            column.endpoint_id.not_in(lanes.full_endpoints),
            column.organization_id.not_in(lanes.full_organizations),
            column.delivery_id.not_in(chosen),
        )
        .order_by(column.due_at)
    )


def target_of(tx: Tx, work: Work) -> Target | None:
    """Where a claimed delivery goes; None when it must not go out any more."""
    row = tx.execute(
        sa.select(endpoints.c.url, endpoints.c.secret)
        .join(deliveries, deliveries.c.endpoint_id == endpoints.c.endpoint_id)
        .where(
            deliveries.c.delivery_id == work.key,
            deliveries.c.organization_id == work.row.organization_id,
            deliveries.c.lease_fence == work.fence,
            deliveries.c.state == State.PENDING.value,
            endpoints.c.disabled.is_(False),
            endpoints.c.deleted_at.is_(None),
        )
    ).first()
    return None if row is None else Target(row.url, row.secret)


def finish(tx: Tx, work: Work, attempt: Attempt, verdict: Verdict) -> Outcome:
    """Logs an attempt, gives the lease back, and says what becomes of the delivery if it may.

    The log is kept in any case: the endpoint may have seen the message. A delivery that was taken
    over or replayed meanwhile stays as it is; one that was dropped counts as delivered if it was.
    """
    key = sa.and_(
        deliveries.c.delivery_id == work.key,
        deliveries.c.organization_id == work.row.organization_id,
    )
    row = tx.execute(
        sa.update(deliveries)
        .where(key)
        .values(attempt_count=deliveries.c.attempt_count + 1)
        .returning(deliveries)
    ).one()
    _log(tx, row, attempt)
    release(tx, deliveries, "delivery_id", work.key, work.fence)
    tx.notify(DUE)
    ours = row.lease_fence == work.fence and row.round == work.row.round
    dropped = row.state == State.DROPPED.value and verdict.state is State.DELIVERED
    if not ours or not (row.state == State.PENDING.value or dropped):
        return Outcome(State(row.state), row.attempt_count, decided=False)
    waiting = verdict.state is State.PENDING
    values: dict[str, Any] = {"state": verdict.state.value, "tries": row.tries + 1}
    if waiting:
        values["due_at"] = tx.now + timedelta(seconds=verdict.delay_s)
    else:
        values["ended_at"] = tx.now
    tx.execute(sa.update(deliveries).where(key).values(**values))
    if verdict.endpoint_gone:
        _disable(tx, row.organization_id, row.endpoint_id, "gone")
    return Outcome(verdict.state, row.attempt_count, decided=not waiting)


def _log(tx: Tx, row: Any, attempt: Attempt) -> None:
    values = {
        "delivery_id": row.delivery_id,
        "number": row.attempt_count,
        "organization_id": row.organization_id,
        "started_at": attempt.started_at,
        "duration_ms": attempt.duration_ms,
        "http_status": attempt.http_status,
        "error_class": attempt.error_class,
        "error_message": attempt.error_message,
        "response_excerpt": attempt.response_excerpt,
    }
    tx.execute(sa.insert(attempts).values(**values))


def _disable(tx: Tx, organization_id: str, endpoint_id: str, reason: str) -> None:
    tx.execute(
        sa.update(endpoints)
        .where(
            endpoints.c.endpoint_id == endpoint_id,
            endpoints.c.organization_id == organization_id,
            endpoints.c.disabled.is_(False),
        )
        .values(disabled=True, disabled_reason=reason, version=endpoints.c.version + 1)
    )
