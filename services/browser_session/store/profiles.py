"""SQL over the profiles of sessions: what a session's next browser is to know, sealed."""

from __future__ import annotations

from sqlalchemy import and_, delete, insert, literal, or_, select, update

from libs.db import Tx
from services.browser_session.domain import LIVE
from services.browser_session.store.tables import PROFILES, SESSIONS


def save(
    tx: Tx, session_id: str, owner: str, generation: int, sealed: bytes, at_end: bool = False
) -> bool:
    """Keeps the profile, unless the browser it was taken from is no longer the session's.

    `at_end`: also when the session has ended and its browser is about to.
    """
    query = select(SESSIONS.c.organization_id).where(
        SESSIONS.c.session_id == session_id,
        SESSIONS.c.owner == owner,
        SESSIONS.c.generation == generation,
        or_(
            SESSIONS.c.state.in_([state.value for state in LIVE]),
            and_(SESSIONS.c.has_process, literal(at_end)),
        ),
    )
    organization_id = tx.execute(query.with_for_update()).scalar()
    if organization_id is None:
        return False
    values = {"sealed": sealed, "saved_at": tx.now}
    known = update(PROFILES).where(PROFILES.c.session_id == session_id)
    if tx.execute(known.values(**values)).rowcount == 0:
        key = {"session_id": session_id, "organization_id": organization_id}
        tx.execute(insert(PROFILES).values(**key, **values))
    return True


def get(tx: Tx, session_id: str) -> bytes | None:
    """The sealed profile of a session; None when none was taken yet."""
    return tx.execute(select(PROFILES.c.sealed).where(PROFILES.c.session_id == session_id)).scalar()


def forget(tx: Tx, session_id: str) -> None:
    """Removes the profile of a session that has ended: nobody may be signed in by it again."""
    tx.execute(delete(PROFILES).where(PROFILES.c.session_id == session_id))
