"""Removing what is too old for anybody to ask for."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from libs.db import Tx
from services.webhook.store.tables import attempts, deliveries, events

# Rows of a table that are looked at in one commit; more would hold up the units behind it.
BATCH = 2_000


def expire(tx: Tx, retention: timedelta) -> int:
    """Removes a part of what is older than the retention; answers how many rows.

    Ids sort by the time they were made: the oldest rows are the first of the primary key, and no
    index of times is needed.
    """
    before, removed = tx.now - retention, 0
    for key, moment in (
        (deliveries.c.delivery_id, deliveries.c.created_at),
        (events.c.event_id, events.c.announced_at),
    ):
        oldest = sa.select(key, moment.label("at")).order_by(key).limit(BATCH).subquery()
        old = list(tx.execute(sa.select(oldest.c[0]).where(oldest.c.at < before)).scalars())
        if not old:
            continue
        if key.table is deliveries:
            tx.execute(sa.delete(attempts).where(attempts.c.delivery_id.in_(old)))
        tx.execute(sa.delete(key.table).where(key.in_(old)))
        removed += len(old)
    return removed
