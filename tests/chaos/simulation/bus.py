"""The bus of the simulation: once or twice, out of order between replicas, now and then late."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from libs.events.bus import Subscription
from libs.events.streams import context_of
from tests.chaos.simulation.processes import Process

CLAIMED_AFTER_S = 1.5
LOOK_EVERY_S = 1.0
# How often an event is on the bus twice, as after a relay that died before it could mark it.
TWICE = 0.1


@dataclass
class Streams:
    """What was published, and what each group has taken and acknowledged; survives everybody."""

    events: defaultdict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    taken: dict[tuple[str, str, int], float] = field(default_factory=dict)
    done: set[tuple[str, str, int]] = field(default_factory=set)
    grown: set[asyncio.Event] = field(default_factory=set)


@dataclass
class SimulatedBus:
    """One process's client of the streams."""

    streams: Streams
    process: Process

    async def publish(self, stream: str, events: Sequence[Any]) -> None:
        """Add the events one by one, as a pipeline without a transaction does."""
        for event in events:
            await self.process.gate()
            twice = self.process.dice.random.random() < TWICE
            self.streams.events[stream] += [event, event] if twice else [event]
            for waiting in self.streams.grown:
                waiting.set()

    async def publish_if_whole(self, stream: str, events: Sequence[Any]) -> None:
        """The same: these streams forget nothing."""
        await self.publish(stream, events)

    async def refill(self, stream: str) -> None:
        """Nothing is ever lost, so it is nobody's turn."""

    async def tidy(self, stream: str) -> None:
        """Leaves the stream as it is."""

    async def consume(
        self,
        group: str,
        consumer: str,
        subscriptions: Sequence[Subscription],
        ended: Sequence[str] = (),
    ) -> None:
        """Take what nobody has, or what its taker has held for too long."""
        grown = asyncio.Event()
        self.streams.grown.add(grown)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await grown.wait()
            grown.clear()
            await self.process.gate()
            for key, event in self._free(group, subscriptions):
                await self._handle(key, event, subscriptions)

    def _free(self, group: str, subscriptions: Sequence[Subscription]) -> list[tuple[Any, Any]]:
        now = asyncio.get_running_loop().time()
        found = []
        for stream in sorted({wanted.stream for wanted in subscriptions}):
            for at, event in enumerate(self.streams.events[stream]):
                key = (group, stream, at)
                held_since = self.streams.taken.get(key, -CLAIMED_AFTER_S)
                if key not in self.streams.done and now - held_since >= CLAIMED_AFTER_S:
                    self.streams.taken[key] = now
                    found.append((key, event))
        return found

    async def _handle(self, key: Any, event: Any, subscriptions: Sequence[Subscription]) -> None:
        with context_of(event):
            try:
                for wanted in subscriptions:
                    if wanted.wants(event):
                        await wanted.hand_out([event])
            except Exception:
                return  # It comes again.
        await self.process.gate()
        self.streams.done.add(key)
