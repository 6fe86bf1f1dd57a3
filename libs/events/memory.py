"""The bus in memory, for tests of a single process; passes the same contract test as Redis."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from libs.events.bus import Subscription
from libs.events.streams import MOST_DELIVERIES, context_of
from podium.common.v1 import event_pb2


class MemoryBus:
    """Keeps each stream as a list, and each group's position in it."""

    def __init__(self) -> None:
        self._streams: defaultdict[str, list[event_pb2.Event]] = defaultdict(list)
        self._positions: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._grown = asyncio.Condition()
        self.dead_letters: list[event_pb2.Event] = []

    async def publish(self, stream: str, events: Sequence[event_pb2.Event]) -> None:
        """Adds the events and wakes the consumers."""
        async with self._grown:
            self._streams[stream].extend(events)
            self._grown.notify_all()

    async def publish_if_whole(self, stream: str, events: Sequence[event_pb2.Event]) -> None:
        """The same: what is in memory is lost only with the process."""
        await self.publish(stream, events)

    async def refill(self, stream: str) -> None:  # noqa: ARG002
        """Nothing is ever lost, so it is nobody's turn."""
        return

    async def tidy(self, stream: str) -> None:
        """Leaves the stream as it is: a test is short."""

    async def consume(
        self,
        group: str,
        consumer: str,  # noqa: ARG002 - the twin has one consumer for each group
        subscriptions: Sequence[Subscription],
        ended: Sequence[str] = (),  # noqa: ARG002
    ) -> None:
        """Hands out each event to one consumer of the group, until cancelled."""
        while True:
            taken = await self._next(group, subscriptions)
            for _ in range(MOST_DELIVERIES):
                if await self._handled(taken, subscriptions):
                    break
            else:
                self.dead_letters.append(taken)

    async def _next(self, group: str, subscriptions: Sequence[Subscription]) -> event_pb2.Event:
        async with self._grown:
            while True:
                for stream in sorted({wanted.stream for wanted in subscriptions}):
                    position = self._positions[group, stream]
                    if position < len(self._streams[stream]):
                        self._positions[group, stream] += 1
                        return self._streams[stream][position]
                await self._grown.wait()

    async def _handled(self, event: event_pb2.Event, subscriptions: Sequence[Subscription]) -> bool:
        with context_of(event):
            try:
                for wanted in subscriptions:
                    if wanted.wants(event):
                        await wanted.hand_out([event])
            except Exception:  # noqa: BLE001
                return False
        return True
