"""The door for events: what happened elsewhere is kept and becomes deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from libs import errors
from libs.clock import Clock
from libs.db import Database
from libs.events.bus import Subscription
from podium.common.v1 import event_pb2
from services.webhook import domain, store, wire
from services.webhook.domain import Announcement

# How long the first event of a batch waits for others.
PATIENCE_S = 0.01


@dataclass
class _Batch:
    """Events of several runs that arrived together and share a unit of work."""

    events: list[Announcement]
    done: asyncio.Task[None]


class Announcer:
    """Keeps every event and makes deliveries of it, each event once however often it comes.

    The bus hands events out run by run, and those of a run come in bursts. A moment's patience
    brings them together: one unit with prepared statements serves them all.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._next: _Batch | None = None
        self._turn = asyncio.Lock()

    def subscriptions(self) -> list[Subscription]:
        """The streams of every service whose events an endpoint can ask for."""
        return [
            Subscription(stream=stream, types=frozenset(types), handle_batch=self.announce)
            for stream, types in domain.EVENT_TYPES.items()
        ]

    async def announce(self, events: Sequence[event_pb2.Event]) -> None:
        """Keeps the events, and makes a delivery for each endpoint that wants one of them."""
        announcements = [wire.announcement(event) for event in events]
        if self._next is None:
            self._next = _Batch([], asyncio.create_task(self._commit(), name="webhook-announce"))
        batch = self._next
        batch.events += announcements
        try:
            await asyncio.shield(batch.done)
        except errors.PodiumError:
            raise
        except Exception:  # noqa: BLE001
            # One of them may be to blame: each run's events for themselves.
            await self._database.write(lambda tx: store.announce(tx, announcements))

    async def _commit(self) -> None:
        await self._clock.sleep(PATIENCE_S)
        async with self._turn:
            batch, self._next = self._next, None
            assert batch is not None
            await self._database.write(lambda tx: store.announce(tx, batch.events))
