"""Waiting for a session to have its browser, whichever replica starts it."""

from __future__ import annotations

from libs import errors
from libs.clock import Clock
from libs.db import Database
from libs.signals import Signals
from services.browser_session import store
from services.browser_session.domain import LIVE, USABLE, Session
from services.browser_session.places import RETRY_AFTER_S, ROOM_POLL_S


async def usable(
    db: Database, signals: Signals, clock: Clock, session_id: str, timeout_s: float
) -> Session:
    """The session once it has a browser; raises when it ended or the time is over."""
    async with signals.subscribe(store.changed(session_id)) as changed:
        deadline = clock.monotonic() + timeout_s
        while True:
            row = await db.read(lambda tx: store.sessions.get_anywhere(tx, session_id))
            if row is None:
                raise errors.Exhausted(
                    "no room for another browser now", retry_after_s=RETRY_AFTER_S
                )
            if row.state in USABLE:
                return row
            if row.state not in LIVE:
                raise errors.Unavailable(
                    f"the session ended while it was starting ({row.close_reason})",
                    retry_after_s=RETRY_AFTER_S,
                )
            left = deadline - clock.monotonic()
            if left <= 0:
                raise errors.Exhausted("the browser is not ready yet", retry_after_s=RETRY_AFTER_S)
            await changed.wait(min(left, ROOM_POLL_S))
