"""Alerts: the SQL on them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from libs import context, db, pages
from services.run.domain import Alert
from services.run.store.tables import alerts


def add_alert(
    tx: db.Tx, alert_id: str, level: str, reason: str, run_id: str, about: dict[str, Any]
) -> None:
    """Writes an alert that people are to see, once however often it is told."""
    tx.insert_new(
        alerts,
        alert_id=alert_id,
        organization_id=context.organization(),
        run_id=run_id,
        level=level,
        reason=reason,
        context=about,
        created_at=tx.now,
    )


def alert_page(tx: db.Tx, *, size: int, token: str, run_id: str) -> tuple[list[Alert], str]:
    """Alerts of the present organisation, newest first, and the token of the next page."""
    query = sa.select(alerts).where(alerts.c.organization_id == context.organization())
    if after := pages.position(token):
        query = query.where(alerts.c.alert_id < after[0])
    if run_id:
        query = query.where(alerts.c.run_id == run_id)
    rows = list(tx.execute(query.order_by(alerts.c.alert_id.desc()).limit(size + 1)))
    found = [
        Alert(row.alert_id, row.level, row.reason, row.run_id, row.context, row.created_at)
        for row in rows[:size]
    ]
    return found, pages.token(found[-1].alert_id) if len(rows) > size else ""
