"""What this service does about the events of others."""

from __future__ import annotations

from libs.db import Database
from libs.events.bus import Subscription
from podium.common.v1 import event_pb2
from services.task import store
from services.task.domain import Reason

RECOVERED = "browser_session.recovered"
CRASHED = "browser_session.crashed"


class BrowserEvents:
    """Ends tasks whose browser is gone, whatever their connection to it looks like.

    A browser that dies breaks the connection; one whose replica is frozen, or cut off, does not.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def subscription(self) -> Subscription:
        """The deaths of browsers."""
        return Subscription(
            stream="browser_session", types={RECOVERED, CRASHED}, handle=self.handle
        )

    async def handle(self, event: event_pb2.Event) -> None:
        """Tells the tasks of the session. To tell them again changes nothing."""
        session_id = str(event.data["browser_session_id"])
        recovered = event.type == RECOVERED
        reason = Reason.BROWSER_CRASHED if recovered else Reason.SESSION_LOST
        generation = int(event.data["generation"]) if recovered else None  # type: ignore[arg-type]
        await self._db.write(
            lambda tx: store.lose_browser(tx, event.organization_id, session_id, reason, generation)
        )
