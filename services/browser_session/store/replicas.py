"""SQL over the replicas of this service: who lives, and what the dead leave behind."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, insert, select, update

from libs.db import Tx
from services.browser_session.domain import Session
from services.browser_session.store import sessions
from services.browser_session.store.tables import REPLICAS


def beat(tx: Tx, replica: str) -> None:
    """Notes that the replica lives."""
    row = {"seen_at": tx.now}
    if tx.execute(update(REPLICAS).where(REPLICAS.c.replica == replica).values(row)).rowcount == 0:
        tx.execute(insert(REPLICAS).values(replica=replica, **row))


def depart(tx: Tx, replica: str) -> None:
    """Forgets a replica that has stopped."""
    tx.execute(delete(REPLICAS).where(REPLICAS.c.replica == replica))


def bury(tx: Tx, silence: timedelta) -> list[Session]:
    """Forgets the replicas that are silent for too long; returns what belongs to nobody now.

    Their browsers died with them: the kernel saw to that.
    """
    alive = select(REPLICAS.c.replica).where(REPLICAS.c.seen_at > tx.now - silence)
    left_behind = sessions.not_on(tx, alive)
    tx.execute(delete(REPLICAS).where(REPLICAS.c.seen_at <= tx.now - silence))
    return left_behind
