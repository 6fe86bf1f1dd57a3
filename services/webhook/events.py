"""The door for events: what happened elsewhere becomes deliveries, or takes them back."""

from __future__ import annotations

from libs.db import Database, Tx
from libs.events.bus import Subscription
from podium.common.v1 import event_pb2
from services.webhook import domain, store, wire

TAKE_BACK = "run.webhooks_canceled"


class Announcer:
    """Turns events into deliveries, each event once however often it comes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def subscriptions(self) -> list[Subscription]:
        """The streams of every service whose events an endpoint can ask for."""
        listening = [
            Subscription(stream=stream, types=frozenset(types), handle=self.announce)
            for stream, types in domain.EVENT_TYPES.items()
        ]
        taking_back = Subscription("run", types=frozenset({TAKE_BACK}), handle=self.take_back)
        return [*listening, taking_back]

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

    async def take_back(self, event: event_pb2.Event) -> None:
        """Drops what was announced of a run before this event and has not gone out."""
        run_id, occurred_at = wire.withdrawn_run(event), wire.moment(event.occurred_at)

        def unit(tx: Tx) -> None:
            if tx.first_time(event.event_id):
                store.withdraw(tx, event.organization_id, run_id, occurred_at)

        await self._database.write(unit)
