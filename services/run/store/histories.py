"""What an auditor asks of the histories of runs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from libs import context, db, history


def head(tx: db.Tx, run_id: str) -> list[Any]:
    """How long the history of a run is, and the hash of its last event, as kept beside it."""
    row = tx.first(history.heads, stream_id=run_id)
    return [0, ""] if row is None else [row.sequence, row.hash]


def owns_history(tx: db.Tx, run_id: str) -> bool:
    """Whether the present organisation has a history of that id, be there a run or not."""
    events = history.history
    query = sa.select(events.c.sequence).where(
        events.c.stream_id == run_id, events.c.organization_id == context.organization()
    )
    return tx.execute(query.limit(1)).first() is not None


def foreign_events(tx: db.Tx, run_id: str) -> list[int]:
    """Sequences in a run's history that say they are another organisation's: there are none."""
    events = history.history
    query = sa.select(events.c.sequence).where(
        events.c.stream_id == run_id, events.c.organization_id != context.organization()
    )
    return [row.sequence for row in tx.execute(query.order_by(events.c.sequence).limit(10))]
