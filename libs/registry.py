"""The registry: which replicas live, where, how busy they are; and the settings of the mesh.

Each replica's entry is in Redis for some seconds and is renewed by a heartbeat, so that one that
died is forgotten by itself. It is a wire, never the truth: who reads it keeps the entries that were
last known while Redis is away. The same heartbeat brings settings that were changed at run time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from libs import errors

UNTIL, ENTRIES, SETTINGS = "podium:replicas:until", "podium:replicas", "podium:settings"
CHANNEL = "podium:replicas"
# A dead replica is out of every list after this; a busy one misses two heartbeats before that.
TTL_S = 2.4
BEAT_S = 0.7

SERVING, SHEDDING, UNHEALTHY = "serving", "shedding", "unhealthy"
STABLE, CANARY = "stable", "canary"

_CLOCK = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
_BEAT = (
    _CLOCK
    + """
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], id) redis.call('HDEL', KEYS[2], id)
end
local changed = 0
for i = 5, #ARGV do
  changed = changed + redis.call('ZREM', KEYS[1], ARGV[i]) redis.call('HDEL', KEYS[2], ARGV[i])
end
changed = changed + redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
if changed > 0 then redis.call('PUBLISH', KEYS[2], ARGV[1]) end
local version = redis.call('HGET', KEYS[3], 'version') or '0'
if version == ARGV[4] then return {version} end
return {version, redis.call('HGET', KEYS[3], 'values') or '{}'}
"""
)
_LEAVE = """
redis.call('ZREM', KEYS[1], ARGV[1]) redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('PUBLISH', KEYS[2], ARGV[1])
"""
_LIST = (
    _CLOCK
    + """
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
if #ids == 0 then return {run_id} end
return {run_id, unpack(redis.call('HMGET', KEYS[2], unpack(ids)))}
"""
)
_CHANGE = """
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if version >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'values', ARGV[2])
return 1
"""


@dataclass(frozen=True)
class Replica:
    """One living replica, as it tells of itself."""

    replica: str  # unique for each start
    service: str
    address: str  # gRPC target
    http_address: str = ""  # of a gateway, its REST door
    stage: str = STABLE
    version: str = ""
    started_at: str = ""
    health: str = SERVING
    calls: int = 0  # being answered now
    work: int = 0  # leased rows in hand
    room: int = 0  # rows that it could hold
    settings_version: int = 0
    settings: dict[str, str] = field(default_factory=dict)  # in effect, where not as started


@dataclass(frozen=True)
class Listing:
    """Who lives, and which run of the server says so: a restarted one may have forgotten some."""

    run_id: str
    replicas: tuple[Replica, ...]


@dataclass(frozen=True)
class ChangedSettings:
    """All settings that were changed at run time, as one version."""

    version: int
    values: Mapping[str, str]


class Registry:
    """The registry over one Redis client; Unavailable when that does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._beat = redis.register_script(_BEAT)
        self._leave = redis.register_script(_LEAVE)
        self._list = redis.register_script(_LIST)
        self._change = redis.register_script(_CHANGE)

    async def beat(
        self, replica: Replica, known_settings: int, ended: Sequence[str] = ()
    ) -> ChangedSettings | None:
        """Says that a replica lives; answers the settings unless they are the known ones."""
        facts = orjson.dumps(asdict(replica))
        arguments = [replica.replica, facts, round(TTL_S * 1000), known_settings, *ended]
        answer = await self._run(self._beat, [UNTIL, ENTRIES, SETTINGS], arguments)
        if len(answer) == 1:
            return None
        return ChangedSettings(int(answer[0]), orjson.loads(answer[1]))

    async def leave(self, replica: str) -> None:
        """Forgets a replica that is about to stop."""
        await self._run(self._leave, [UNTIL, ENTRIES], [replica])

    async def list(self) -> Listing:
        """The replicas that live."""
        run_id, *found = await self._run(self._list, [UNTIL, ENTRIES], [])
        replicas = (Replica(**orjson.loads(facts)) for facts in found if facts)
        return Listing(run_id.decode(), tuple(sorted(replicas, key=_order)))

    async def change_settings(self, changed: ChangedSettings) -> bool:
        """Makes a version of the settings known to everybody, unless it is not the newest."""
        arguments = [changed.version, orjson.dumps(dict(changed.values))]
        return bool(await self._run(self._change, [SETTINGS], arguments))

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[Changes]:
        """Hints that a replica has come or gone."""
        try:
            async with self._redis.pubsub() as pubsub:
                await pubsub.subscribe(CHANNEL)
                yield Changes(pubsub)
        except (RedisError, OSError) as error:
            raise _away(error) from error

    async def _run(self, script: Any, keys: list[str], arguments: list[Any]) -> Any:
        try:
            return await script(keys, arguments)
        except (RedisError, OSError) as error:
            raise _away(error) from error


class Changes:
    """A place to wait for hints; one may be lost, so the wait has an end."""

    def __init__(self, pubsub: Any) -> None:
        self._pubsub = pubsub

    async def wait(self, timeout_s: float) -> None:
        """Returns at a hint or after the time."""
        await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=timeout_s)


def _order(replica: Replica) -> tuple[str, str]:
    return replica.service, replica.replica


def _away(error: Exception) -> errors.Unavailable:
    return errors.Unavailable(
        f"the registry does not answer: {error}", reason="REGISTRY_UNAVAILABLE", retry_after_s=1.0
    )
