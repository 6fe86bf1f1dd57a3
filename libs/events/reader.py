"""Reading the bus: one consumer group for each service, one consumer for each replica.

What a dead replica had taken is claimed after a few seconds; what is in hand is kept fresh, so that
slow is not taken for dead. A handler that fails because something is away for a moment is tried
again in place, which keeps the order; one that keeps failing ends in the dead letters.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from libs import errors, metrics, telemetry, wire
from libs.clock import Clock
from libs.events import letters
from libs.events.bus import Subscription, TooEarly
from libs.events.streams import FIELD, MOST_DELIVERIES, PREFIX, RETRIES, context_of
from libs.stopping import together
from podium.common.v1 import event_pb2

# Less than the client waits for an answer (libs.events.redis.ANSWER_WITHIN_S).
BLOCK_MS = 2_000
BATCH = 64
# A message whose consumer has neither acknowledged nor refreshed it for so long is another's.
CLAIM_IDLE_MS = 4_000
CLAIM_EVERY_S = 1.0
# A consumer that has not read for so long is a process that ended.
FORGET_IDLE_MS = 600_000
FORGET_EVERY_S = 60.0
# How long a handler is tried again in place while what it needs is away.
PATIENCE_S = 10.0
_AGAIN_S = 0.2
_RECONNECT_S = 0.5
_PASSING = (errors.Unavailable, errors.DeadlineExceeded, errors.Exhausted, OSError, TimeoutError)
log = logging.getLogger(__name__)
Message = tuple[bytes, event_pb2.Event]
OnBuried = Callable[[event_pb2.Event | None, str, str], Awaitable[None]]


async def nobody(_event: event_pb2.Event | None, _stream: str, _reason: str) -> None:
    """Tells nobody of a dead letter."""


class Reader:
    """One consumer of one group."""

    def __init__(
        self,
        redis: Redis,
        clock: Clock,
        group: str,
        consumer: str,
        subscriptions: Sequence[Subscription],
    ) -> None:
        # The client's own types fit no protocol version: what it answers is known here.
        self._redis: Any = redis
        self._clock = clock
        self._group = group
        self._consumer = consumer
        self._subscriptions = subscriptions
        # Consumers that are known to be dead: what they had is not left to become old first.
        self.ended: list[str] = []
        self.on_buried: OnBuried = nobody
        streams = {PREFIX + wanted.stream for wanted in subscriptions}
        self._streams = [*sorted(streams), RETRIES + group]
        self._in_hand: defaultdict[str, set[bytes]] = defaultdict(set)
        self._forgot_at = clock.monotonic()

    async def run(self) -> None:
        """Reads new events and takes over those of dead consumers, until cancelled."""
        await together(self._read_loop(), self._claim_loop(), self._fresh_loop())

    async def _read_loop(self) -> None:
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
                    await self._handle_all(_text(stream), messages)
            except (RedisError, OSError) as error:
                # NOGROUP: Redis came back empty.
                log.info("bus: %s", error)
                ready = False
                await self._clock.sleep(_RECONNECT_S)
            except Exception:
                # Whatever one message does to us, the others are still to be read.
                log.exception("bus: could not handle what was read")
                await self._clock.sleep(_RECONNECT_S)

    async def _claim_loop(self) -> None:
        while True:
            try:
                await self._inherit()
                for stream in self._streams:
                    await self._claim(stream)
                if self._clock.monotonic() - self._forgot_at > FORGET_EVERY_S:
                    self._forgot_at = self._clock.monotonic()
                    await self._forget_the_dead()
            except (RedisError, OSError) as error:
                log.debug("bus: could not claim: %s", error)
            except Exception:
                log.exception("bus: could not handle what was claimed")
            await self._clock.sleep(CLAIM_EVERY_S)

    async def _fresh_loop(self) -> None:
        while True:
            await self._clock.sleep(CLAIM_EVERY_S)
            try:
                for stream in self._streams:
                    await self._keep_fresh(stream)
            except (RedisError, OSError) as error:
                log.debug("bus: could not refresh: %s", error)

    async def _make_groups(self) -> None:
        for stream in self._streams:
            try:
                await self._redis.xgroup_create(stream, self._group, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def _keep_fresh(self, stream: str) -> None:
        """Shows the others that the messages in hand are being worked on."""
        if not self._in_hand[stream]:
            return
        pending = await self._redis.xpending_range(
            stream, self._group, "-", "+", 10 * BATCH, consumername=self._consumer
        )
        mine = [e["message_id"] for e in pending if e["message_id"] in self._in_hand[stream]]
        if mine:
            # JUSTID does not count as a delivery.
            await self._redis.xclaim(
                stream, self._group, self._consumer, 0, mine, idle=0, justid=True
            )

    async def _inherit(self) -> None:
        while self.ended:
            for stream in self._streams:
                pending = await self._redis.xpending_range(
                    stream, self._group, "-", "+", 10 * BATCH, consumername=self.ended[-1]
                )
                deliveries = {each["message_id"]: each["times_delivered"] for each in pending}
                await self._take_over(stream, deliveries, 0)
            self.ended.pop()

    async def _claim(self, stream: str) -> None:
        pending = await self._redis.xpending_range(
            stream, self._group, "-", "+", 10 * BATCH, idle=CLAIM_IDLE_MS
        )
        deliveries: dict[bytes, int] = {}
        for entry in pending:
            # What has failed often comes again later: it must not keep everybody busy.
            due = entry["time_since_delivered"] >= CLAIM_IDLE_MS * entry["times_delivered"]
            if due and entry["message_id"] not in self._in_hand[stream]:
                deliveries[entry["message_id"]] = entry["times_delivered"]
        await self._take_over(stream, deliveries, CLAIM_IDLE_MS)

    async def _take_over(self, stream: str, deliveries: dict[bytes, int], idle_ms: int) -> None:
        """Takes messages that others had, with how often each had been handed out, as its own."""
        wanted = list(deliveries)[:BATCH]
        if not wanted:
            return
        taken = await self._redis.xclaim(stream, self._group, self._consumer, idle_ms, wanted)
        worn_out = [m for m in taken if m and deliveries[m[0]] >= MOST_DELIVERIES]
        for message_id, fields in worn_out:
            # Its consumers ended before they could say what is wrong with it.
            await self._bury(stream, message_id, fields, "never finished")
        fresh = [m for m in taken if m and deliveries[m[0]] < MOST_DELIVERIES]
        await self._handle_all(stream, fresh, deliveries)

    async def _forget_the_dead(self) -> None:
        for stream in self._streams:
            for consumer in await self._redis.xinfo_consumers(stream, self._group):
                if not consumer["pending"] and consumer["idle"] > FORGET_IDLE_MS:
                    await self._redis.xgroup_delconsumer(stream, self._group, consumer["name"])

    async def _bury(self, stream: str, message_id: bytes, fields: Any, reason: str) -> None:
        await letters.bury(self._redis, stream, self._group, message_id, fields, reason)
        try:
            event = event_pb2.Event.FromString((fields or {})[FIELD])
        except (DecodeError, KeyError):
            event = None
        await self.on_buried(event, stream.removeprefix(PREFIX), reason)

    async def _handle_all(
        self, stream: str, messages: Sequence[Any], deliveries: dict[bytes, int] | None = None
    ) -> None:
        taken = {message_id for message_id, _fields in messages}
        self._in_hand[stream] |= taken
        try:
            await self._handle_lanes(stream, messages, deliveries or {})
        finally:
            self._in_hand[stream] -= taken

    async def _handle_lanes(
        self, stream: str, messages: Sequence[Any], deliveries: dict[bytes, int]
    ) -> None:
        lanes: defaultdict[str, list[Message]] = defaultdict(list)
        for message_id, fields in messages:
            try:
                event = event_pb2.Event.FromString((fields or {})[FIELD])
            except (DecodeError, KeyError):
                await self._bury(stream, message_id, fields, "not an event")
                continue
            lanes[event.run_id or event.event_id].append((message_id, event))
        # Events of one run keep their order; those of different runs share commits.
        outcomes = await asyncio.gather(*(self._handle_lane(lane) for lane in lanes.values()))
        failures = {key: error for lane in outcomes for key, error in lane.items()}
        events = {message_id: event for lane in lanes.values() for message_id, event in lane}
        if done := [message_id for message_id in events if message_id not in failures]:
            await self._redis.xack(stream, self._group, *done)
        for message_id, error in failures.items():
            if isinstance(error, (*_PASSING, TooEarly)):
                await self._uncount(stream, message_id)
            elif deliveries.get(message_id, 0) + 1 >= MOST_DELIVERIES:
                fields = {FIELD: events[message_id].SerializeToString()}
                await self._bury(stream, message_id, fields, type(error).__name__)

    async def _uncount(self, stream: str, message_id: bytes) -> None:
        """What was not the event's own fault does not bring it nearer to the dead letters."""
        await self._redis.xclaim(
            stream, self._group, self._consumer, 0, [message_id], retrycount=0, justid=True
        )

    async def _handle_lane(self, lane: list[Message]) -> dict[bytes, Exception]:
        """Hands out the events of one run; answers the messages that are to come again, and why."""
        ids = {event.event_id: message_id for message_id, event in lane}
        failed: dict[bytes, Exception] = {}
        for subscription in self._subscriptions:
            wanted = [event for _, event in lane if subscription.wants(event)]
            batches = [wanted] if subscription.handle_batch else [[event] for event in wanted]
            for batch in filter(None, batches):
                if error := await self._handle(subscription, batch):
                    failed.update({ids[event.event_id]: error for event in batch})
        return failed

    async def _handle(
        self, subscription: Subscription, events: list[event_pb2.Event]
    ) -> Exception | None:
        """What the handler failed with; None when the events need not come again."""
        until = self._clock.monotonic() + PATIENCE_S
        with context_of(events[0]), telemetry.reaction(events[0]):
            while True:
                try:
                    await subscription.hand_out(events)
                    self._note_age(subscription.stream, events)
                    return None
                except _PASSING as error:
                    if self._clock.monotonic() > until:
                        log.warning("could not handle %s yet: %s", events[0].type, error)
                        return error
                except TooEarly as error:
                    log.info("could not handle %s yet: %s", events[0].type, error)
                    return error
                except Exception as error:
                    log.exception("could not handle %s %s", events[0].type, events[0].event_id)
                    return error
                await self._clock.sleep(_AGAIN_S)

    def _note_age(self, stream: str, events: list[event_pb2.Event]) -> None:
        now = self._clock.now()
        for event in events:
            if not event.HasField("occurred_at"):
                continue
            age_s = (now - wire.moment(event.occurred_at)).total_seconds()
            metrics.EVENT_AGE.labels(stream).observe(max(0.0, age_s))


def _text(stream: bytes | str) -> str:
    return stream.decode() if isinstance(stream, bytes) else stream


def _pairs(answer: Any) -> list[tuple[bytes, list[Any]]]:
    """Streams with their messages, whichever protocol version answered."""
    if not answer:
        return []
    if isinstance(answer, dict):
        # RESP3 wraps each stream's messages in one more list.
        return [(stream, lists[0] if lists else []) for stream, lists in answer.items()]
    return [(stream, messages) for stream, messages in answer]
