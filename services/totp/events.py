"""The door for events: a run that ends takes its challenges with it."""

from __future__ import annotations

from libs.db import Database, Tx
from libs.events.bus import Subscription
from podium.common.v1 import event_pb2
from services.totp import matching
from services.totp.store import challenges


class Reactions:
    """What totp does when something happens elsewhere."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def subscriptions(self) -> list[Subscription]:
        """The events totp reacts to."""
        return [Subscription("run", self.run_finished, frozenset({"run.finished"}))]

    async def run_finished(self, event: event_pb2.Event) -> None:
        """Cancels the challenges of a run that has ended."""

        def unit(tx: Tx) -> None:
            if not event.run_id or not tx.first_time(event.event_id):
                return
            for challenge in challenges.open_of_run(tx, event.organization_id, event.run_id):
                matching.cancel(tx, challenge)

        await self._db.write(unit)
