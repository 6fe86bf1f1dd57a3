"""SQL over the line of sessions that wait for a place."""

from __future__ import annotations

import sqlalchemy as sa

from libs import errors
from libs.db import Tx
from services.browser_session.domain import Session, State, Waiting, place_in_line
from services.browser_session.store.tables import SESSIONS

FULL = "QUEUE_FULL"
_RUNNING = (
    sa.select(SESSIONS.c.organization_id, sa.func.count().label("browsers"))
    .where(SESSIONS.c.has_process)
    .group_by(SESSIONS.c.organization_id)
)
_WAITING = sa.select(
    SESSIONS.c.session_id, SESSIONS.c.organization_id, SESSIONS.c.created_at
).where(SESSIONS.c.state == State.QUEUED.value)


def running(tx: Tx) -> dict[str, int]:
    """How many browsers each organisation has."""
    return {row.organization_id: row.browsers for row in tx.execute(_RUNNING)}


def waiting(tx: Tx) -> list[Waiting]:
    """Everyone in the line."""
    return [Waiting(*row) for row in tx.execute(_WAITING)]


def place_of(tx: Tx, session: Session) -> int:
    """How many get a place until this one has its own, itself included; 0 if it does not wait."""
    if session.state is not State.QUEUED:
        return 0
    return place_in_line(waiting(tx), running(tx), session.session_id)


def check_room(tx: Tx, organization_id: str, longest: int, longest_of_one: int) -> None:
    """Raises Exhausted when one more than this has joined the line, or the organisation's part."""
    line = waiting(tx)
    own = sum(one.organization_id == organization_id for one in line)
    if len(line) > longest or own > longest_of_one:
        raise errors.Exhausted(
            f"{own - 1} sessions of yours and {len(line) - 1} in all wait for a browser already",
            reason=FULL,
            retry_after_s=5.0,
        )
