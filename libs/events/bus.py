"""The contract of the bus: one stream for each publishing service, at-least-once to each group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from libs import errors
from podium.common.v1 import event_pb2

Handler = Callable[[event_pb2.Event], Awaitable[None]]
BatchHandler = Callable[[Sequence[event_pb2.Event]], Awaitable[None]]


class BusUnavailable(Exception):
    """The bus does not answer now; the outbox keeps what was not taken."""


class StreamLost(BusUnavailable):
    """The bus came back without a part of the stream: what was published after `since`.

    `since` is None when everything is gone. The outbox publishes it again (`Bus.refill`).
    """

    def __init__(self, since: datetime | None) -> None:
        super().__init__(f"the stream lost what came after {since or 'its beginning'}")
        self.since = since


class TooEarly(errors.Aborted):
    """What a handler raises for an event that must wait for another one.

    It comes again every few seconds, and never ends in the dead letters for that: how long it is
    worth waiting is the handler's to say.
    """


@dataclass(frozen=True)
class Subscription:
    """Which events of one stream a service reacts to, and how.

    `types` holds exact types; empty means all. The handler is called at least once for each event
    and must recognise repeats (`tx.first_time(event.event_id)`). With `handle_batch` instead of
    `handle` it is given the events of one run that arrived together, in order, in one call: what
    they cause then fits one commit.
    """

    stream: str
    handle: Handler | None = None
    types: frozenset[str] | set[str] = field(default_factory=frozenset)
    handle_batch: BatchHandler | None = None

    def wants(self, event: event_pb2.Event) -> bool:
        """Whether the event is one of those asked for."""
        return event.source == self.stream and (not self.types or event.type in self.types)

    async def hand_out(self, events: Sequence[event_pb2.Event]) -> None:
        """Gives the events to the handler; raises what it raises."""
        if self.handle_batch is not None:
            await self.handle_batch(events)
        if self.handle is not None:
            for event in events:
                await self.handle(event)


class Refill(Protocol):
    """One replica's turn at publishing again what a stream lost."""

    async def publish(self, events: Sequence[event_pb2.Event]) -> None:
        """Adds events that were lost; BusUnavailable when the turn is over."""
        ...

    async def finish(self) -> None:
        """Declares the stream whole: from now on others publish again."""
        ...


class Bus(Protocol):
    """Carries events from outboxes to the groups that react."""

    async def publish(self, stream: str, events: Sequence[event_pb2.Event]) -> None:
        """Adds events to a stream in order; BusUnavailable when they were not all taken."""
        ...

    async def publish_if_whole(self, stream: str, events: Sequence[event_pb2.Event]) -> None:
        """The same, unless the stream has lost something: then takes nothing, raises StreamLost.

        Without events it only looks.
        """
        ...

    async def refill(self, stream: str) -> Refill | None:
        """Begins to publish again what a stream lost; None while another replica is at it."""
        ...

    async def tidy(self, stream: str) -> None:
        """Removes from a long stream what every group has done with."""
        ...

    async def consume(
        self,
        group: str,
        consumer: str,
        subscriptions: Sequence[Subscription],
        ended: Sequence[str] = (),
    ) -> None:
        """Hands the group's events to the subscriptions until cancelled.

        What the `ended` consumers, which are known to be dead, had taken is handed out first.

        An event whose handler raises is handed out again, to any consumer of the group, and after
        several failures goes to the dead letters.
        """
        ...
