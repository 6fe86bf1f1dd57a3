"""The bus on Redis Streams (https://redis.io/docs/latest/develop/data-types/streams/).

One consumer group for each service, one consumer for each replica. What a dead replica had taken is
claimed after a while; what keeps failing goes to a stream of dead letters. Redis may be gone or
come back empty at any time: groups are made again, outboxes fill the streams again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from libs import context, telemetry
from libs.clock import Clock
from libs.events.bus import BusUnavailable, Subscription
from podium.common.v1 import event_pb2

PREFIX = "podium:events:"
DEAD_LETTERS = "podium:dead-letters"
LONGEST_STREAM = 100_000
BLOCK_MS = 5_000
BATCH = 64
# A message that its consumer has not acknowledged for so long is another's to take.
CLAIM_IDLE_MS = 4_000
CLAIM_EVERY_S = 1.0
MOST_DELIVERIES = 5
_RECONNECT_S = 0.5
_FIELD = b"event"
log = logging.getLogger(__name__)


class RedisBus:
    """Publishes and consumes over one Redis client."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock

    async def publish(self, stream: str, events: Sequence[event_pb2.Event]) -> None:
        """Adds the events in one round trip."""
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for event in events:
                    pipeline.xadd(
                        PREFIX + stream,
                        {_FIELD: event.SerializeToString()},
                        maxlen=LONGEST_STREAM,
                        approximate=True,
                    )
                await pipeline.execute()
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error

    async def consume(
        self, group: str, consumer: str, subscriptions: Sequence[Subscription]
    ) -> None:
        """Reads new events and takes over those of dead consumers, until cancelled."""
        reader = _Reader(self._redis, self._clock, group, consumer, subscriptions)
        # Not a TaskGroup: that passes only the first of several cancellations on (libs.stopping).
        await asyncio.gather(reader.read_loop(), reader.claim_loop())


class _Reader:
    """One consumer of one group."""

    def __init__(
        self,
        redis: Redis,
        clock: Clock,
        group: str,
        consumer: str,
        subscriptions: Sequence[Subscription],
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._group = group
        self._consumer = consumer
        self._subscriptions = subscriptions
        self._streams = sorted({PREFIX + wanted.stream for wanted in subscriptions})

    async def read_loop(self) -> None:
        ready = False
        while True:
            try:
                if not ready:
                    await self._make_groups()
                    ready = True
                answer = await self._redis.xreadgroup(
                    self._group,
                    self._consumer,
                    dict.fromkeys(self._streams, ">"),
                    count=BATCH,
                    block=BLOCK_MS,
                )
                for stream, messages in _pairs(answer):
                    await self._handle_all(stream, messages)
            except (RedisError, OSError) as error:
                # NOGROUP: Redis came back empty.
                log.info("bus: %s", error)
                ready = False
                await self._clock.sleep(_RECONNECT_S)

    async def claim_loop(self) -> None:
        while True:
            await self._clock.sleep(CLAIM_EVERY_S)
            try:
                for stream in self._streams:
                    await self._claim(stream)
            except (RedisError, OSError) as error:
                log.debug("bus: could not claim: %s", error)

    async def _make_groups(self) -> None:
        for stream in self._streams:
            try:
                await self._redis.xgroup_create(stream, self._group, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def _claim(self, stream: str) -> None:
        pending = await self._redis.xpending_range(
            stream, self._group, "-", "+", BATCH, idle=CLAIM_IDLE_MS
        )
        for entry in pending:
            taken = await self._redis.xclaim(
                stream, self._group, self._consumer, CLAIM_IDLE_MS, [entry["message_id"]]
            )
            if taken and entry["times_delivered"] >= MOST_DELIVERIES:
                await self._bury(stream, taken[0])
            elif taken:
                await self._handle_all(stream, taken)

    async def _bury(self, stream: str | bytes, message: tuple[bytes, dict[bytes, bytes]]) -> None:
        message_id, fields = message
        async with self._redis.pipeline(transaction=True) as pipeline:
            letter = {**fields, b"stream": stream, b"group": self._group}
            pipeline.xadd(DEAD_LETTERS, letter, maxlen=LONGEST_STREAM, approximate=True)
            pipeline.xack(stream, self._group, message_id)
            await pipeline.execute()
        log.error("an event was given up after %d deliveries: %s", MOST_DELIVERIES, message_id)

    async def _handle_all(self, stream: str | bytes, messages: Sequence[Any]) -> None:
        lanes: defaultdict[str, list[tuple[bytes, event_pb2.Event]]] = defaultdict(list)
        for message_id, fields in messages:
            event = event_pb2.Event.FromString((fields or {}).get(_FIELD, b""))
            lanes[event.run_id or event.event_id].append((message_id, event))
        # Events of one run keep their order; those of different runs share commits.
        finished = await asyncio.gather(*(self._handle_lane(lane) for lane in lanes.values()))
        if done := [message_id for lane in finished for message_id in lane]:
            await self._redis.xack(stream, self._group, *done)

    async def _handle_lane(self, lane: list[tuple[bytes, event_pb2.Event]]) -> list[bytes]:
        """Hands out the events of one run; answers the messages that need not come again."""
        ids = {event.event_id: message_id for message_id, event in lane}
        for subscription in self._subscriptions:
            wanted = [event for _, event in lane if subscription.wants(event)]
            for together in [wanted] if subscription.handle_batch else [[e] for e in wanted]:
                if together and not await self._handle(subscription, together):
                    for event in together:
                        ids.pop(event.event_id, None)
        return list(ids.values())

    async def _handle(self, subscription: Subscription, events: list[event_pb2.Event]) -> bool:
        """False when the handler failed and the events are to come again."""
        with context_of(events[0]), telemetry.reaction(events[0]):
            try:
                await subscription.hand_out(events)
            except Exception:
                log.exception("could not handle %s %s", events[0].type, events[0].event_id)
                return False
        return True


def context_of(event: event_pb2.Event) -> Any:
    """The context in which an event is reacted to: that of what caused it."""
    return context.bind(
        request_id=event.request_id,
        organization_id=event.organization_id,
        caller=event.source,
        run_id=event.run_id,
        workflow_run_id=event.workflow_run_id,
        task_id=event.task_id,
    )


def _pairs(answer: Any) -> list[tuple[bytes, list[Any]]]:
    """Streams with their messages, whichever protocol version answered."""
    if not answer:
        return []
    if isinstance(answer, dict):
        # RESP3 wraps each stream's messages in one more list.
        return [(stream, lists[0] if lists else []) for stream, lists in answer.items()]
    return [(stream, messages) for stream, messages in answer]
