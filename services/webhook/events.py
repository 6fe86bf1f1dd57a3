"""The door for events: what happened elsewhere becomes deliveries."""

from __future__ import annotations

from libs.db import Database, Tx
from libs.events.bus import Subscription
from podium.common.v1 import event_pb2
from services.webhook import domain, store, wire


class Announcer:
    """Turns events into deliveries, each event once however often it comes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def subscriptions(self) -> list[Subscription]:
        """The streams of every service whose events an endpoint can ask for."""
        return [
            Subscription(stream=stream, types=frozenset(types), handle=self.announce)
            for stream, types in domain.EVENT_TYPES.items()
        ]

    async def announce(self, event: event_pb2.Event) -> None:
        """A delivery for each endpoint of the organisation that wants the event."""
        announcement = wire.announcement(event)
        # Most events interest nobody, and a look costs a tenth of a commit.
        if not await self._database.read(lambda tx: store.wanting(tx, announcement)):
            return

        def unit(tx: Tx) -> None:
            if tx.first_time(event.event_id):
                store.fan_out(tx, announcement)

        await self._database.write(unit)
