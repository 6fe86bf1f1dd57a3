"""The bus on Redis Streams (https://redis.io/docs/latest/develop/data-types/streams/).

Redis may be gone, stand still, or come back without what it had. A marker beside each stream tells:
it names the run of the server (`run_id`) and when the stream was last known to be whole. Whoever
publishes checks it in the same script, so nothing new gets ahead of what was lost.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from libs import ids
from libs.clock import Clock
from libs.events.bus import BusUnavailable, StreamLost, Subscription
from libs.events.reader import OnBuried, Reader, nobody
from libs.events.streams import FIELD, PREFIX
from podium.common.v1 import event_pb2

MARKS = "podium:marks:"
REFILLS = "podium:refills:"
# Beyond this a stream is cut to what some group has still to do; it is never cut shorter than that
# until it is so long that the server is in danger.
LONG_STREAM = 100_000
LONGEST_STREAM = 1_000_000
# A server that stands still must not hold a process for long; reads block for less than this.
ANSWER_WITHIN_S = 3.0
CONNECT_WITHIN_S = 1.0
REFILL_TURN_MS = 15_000
log = logging.getLogger(__name__)

_PUBLISH = """
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local mark = redis.call('HMGET', KEYS[2], 'run_id', 'whole_ms')
if not mark[1] then return {'empty', '0'} end
if mark[1] ~= run_id then return {'restarted', mark[2]} end
if tonumber(ARGV[1]) - tonumber(mark[2]) >= 1000 then
  redis.call('HSET', KEYS[2], 'whole_ms', ARGV[1])
end
for i = 2, #ARGV do redis.call('XADD', KEYS[1], '*', 'event', ARGV[i]) end
return {'ok', '0'}
"""
_REFILL = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
for i = 3, #ARGV do redis.call('XADD', KEYS[1], '*', 'event', ARGV[i]) end
return 1
"""
_WHOLE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
redis.call('HSET', KEYS[2], 'run_id', run_id, 'whole_ms', ARGV[2])
redis.call('DEL', KEYS[1])
return 1
"""


def connect(url: str) -> Redis:
    """A client that answers or fails within seconds; who calls it decides what then."""
    return Redis.from_url(
        url,
        protocol=3,
        socket_timeout=ANSWER_WITHIN_S,
        socket_connect_timeout=CONNECT_WITHIN_S,
        # A publish that is repeated silently would be there twice, and take three times as long.
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


class RedisBus:
    """Publishes and consumes over one Redis client."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._publish = redis.register_script(_PUBLISH)
        # Told of each event that a group gave up: the event, its stream, and why.
        self.on_buried: OnBuried = nobody

    async def publish(self, stream: str, events: Sequence[event_pb2.Event]) -> None:
        """Adds the events in one round trip."""
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for event in events:
                    pipeline.xadd(PREFIX + stream, {FIELD: event.SerializeToString()})
                await pipeline.execute()
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error

    async def publish_if_whole(self, stream: str, events: Sequence[event_pb2.Event]) -> None:
        """Adds the events in one step with the check that the stream has lost nothing."""
        arguments = [_milliseconds(self._clock), *(event.SerializeToString() for event in events)]
        try:
            answer = await self._publish([PREFIX + stream, MARKS + stream], arguments)
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error
        if answer[0] == b"empty":
            raise StreamLost(None)
        if answer[0] == b"restarted":
            raise StreamLost(datetime.fromtimestamp(int(answer[1]) / 1000, UTC))

    async def refill(self, stream: str) -> RedisRefill | None:
        """This replica's turn at filling the stream again, if nobody else is at it."""
        token = ids.token(8)
        try:
            mine = await self._redis.set(REFILLS + stream, token, nx=True, px=REFILL_TURN_MS)
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error
        return RedisRefill(self._redis, self._clock, stream, token) if mine else None

    async def tidy(self, stream: str) -> None:
        """Removes from a long stream what every group has acknowledged."""
        name = PREFIX + stream
        try:
            if await self._redis.xlen(name) <= LONG_STREAM:
                return
            groups = await self._redis.xinfo_groups(name)
            unfinished = [await self._unfinished(name, group) for group in groups]
            if unfinished:
                await self._redis.xtrim(name, minid=min(unfinished, key=_order), approximate=True)
            length = await self._redis.xtrim(name, maxlen=LONGEST_STREAM, approximate=True)
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error
        if length:
            log.error("%d events of %s were cut off: a group reads too slowly", length, stream)

    async def _unfinished(self, name: str, group: dict[str, Any]) -> str:
        """Id of the first message that the group has not acknowledged."""
        if group["pending"]:
            summary = await self._redis.xpending(name, group["name"])
            if summary["min"]:
                return _text(summary["min"])
        return _text(group["last-delivered-id"])

    async def consume(
        self,
        group: str,
        consumer: str,
        subscriptions: Sequence[Subscription],
        ended: Sequence[str] = (),
    ) -> None:
        """Reads new events and takes over those of dead consumers, until cancelled."""
        reader = Reader(self._redis, self._clock, group, consumer, subscriptions)
        reader.ended = list(ended)
        reader.on_buried = self.on_buried
        await reader.run()


@dataclass
class RedisRefill:
    """The turn of one replica, held by a key that runs out when the replica dies."""

    redis: Redis
    clock: Clock
    stream: str
    token: str

    async def publish(self, events: Sequence[event_pb2.Event]) -> None:
        """Adds events that were lost, whole or not."""
        keys = [PREFIX + self.stream, REFILLS + self.stream]
        arguments = [
            self.token,
            REFILL_TURN_MS,
            *(event.SerializeToString() for event in events),
        ]
        await self._run(_REFILL, keys, arguments)

    async def finish(self) -> None:
        """Sets the marker of this run of the server."""
        keys = [REFILLS + self.stream, MARKS + self.stream]
        await self._run(_WHOLE, keys, [self.token, _milliseconds(self.clock)])

    async def _run(self, script: str, keys: list[str], arguments: list[Any]) -> None:
        try:
            mine = await self.redis.register_script(script)(keys, arguments)
        except (RedisError, OSError) as error:
            raise BusUnavailable(str(error)) from error
        if not mine:
            raise BusUnavailable("the turn at filling the stream is over")


def _milliseconds(clock: Clock) -> int:
    return int(clock.now().timestamp() * 1000)


def _text(message_id: bytes | str) -> str:
    return message_id.decode() if isinstance(message_id, bytes) else message_id


def _order(message_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = message_id.partition("-")
    return int(milliseconds), int(sequence or 0)
