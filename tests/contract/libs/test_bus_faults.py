"""Redis killed, emptied, restarted and stopped under two replicas: no event is lost."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from redis.exceptions import RedisError

from libs import context, db, relay
from libs.clock import Clock
from libs.events import redis as redis_bus
from libs.events.bus import Subscription
from libs.events.streams import PREFIX
from libs.relay import Relay
from libs.signals import Signals
from libs.stopping import stop
from podium.common.v1 import event_pb2
from tests.support import valkey
from tests.support.eventually import eventually

METADATA = sa.MetaData()
seen = sa.Table(
    "seen",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.String(64), unique=True),
    sa.Column("label", sa.Integer),
)

pytestmark = pytest.mark.long


class Server:
    """A Valkey that is killed, stopped and started."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._path = folder / "v.sock"
        self._folder = str(folder)
        self._options = options
        self.url = f"unix://{self._path}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = valkey.start(self._path, self._folder, *self._options)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)


class Replica:
    """Publishes as service "s" and consumes as group "g", on a database both replicas share."""

    def __init__(self, database: db.Database, url: str, name: str) -> None:
        self.database = database
        self.name = name
        self.redis = redis_bus.connect(url)
        self.bus = redis_bus.RedisBus(self.redis, Clock())
        self.relay = Relay(database, self.bus, "s", Clock())
        database.after_commit = self.relay.hand_over
        self.handled = Counter[str]()
        subscription = Subscription("s", self.handle)
        self.tasks = [
            asyncio.create_task(self.relay.run()),
            asyncio.create_task(self.bus.consume("g", name, [subscription])),
        ]

    async def handle(self, event: event_pb2.Event) -> None:
        self.handled[event.event_id] += 1

        def unit(tx: db.Tx) -> None:
            if tx.first_time(event.event_id):
                row = {"event_id": event.event_id, "label": number_of(event)}
                tx.execute(sa.insert(seen).values(**row))

        await self.database.write(unit)

    async def say(self, number: int, run_id: str = "run_1") -> None:
        def unit(tx: db.Tx) -> None:
            tx.publish("said", {"n": number}, run_id=run_id)

        await self.database.write(unit)

    async def close(self) -> None:
        await stop(self.tasks)
        await self.database.close()
        await self.redis.aclose()


def number_of(event: event_pb2.Event) -> int:
    """The number that was said."""
    return int(event.data.fields["n"].number_value)


class World:
    """A server and two replicas."""

    def __init__(self, server: Server, replicas: list[Replica]) -> None:
        self.server = server
        self.replicas = replicas

    async def labels(self) -> list[int]:
        query = sa.select(seen.c.label).order_by(seen.c.number)
        return await self.replicas[0].database.read(lambda tx: list(tx.execute(query).scalars()))

    async def all_seen(self, count: int) -> bool:
        return sorted(await self.labels()) == list(range(count))

    async def published(self) -> list[int]:
        """What is in the stream, each by its first appearance."""
        redis: Any = self.replicas[0].redis
        entries = await redis.xrange(PREFIX + "s")
        events = [event_pb2.Event.FromString(fields[b"event"]) for _, fields in entries]
        return list(dict.fromkeys(number_of(event) for event in events))

    async def length(self) -> int:
        return await self.replicas[0].redis.xlen(PREFIX + "s")


async def _opened(tmp_path: Path, *options: str) -> AsyncIterator[World]:
    server = Server(tmp_path, *options)
    server.start()
    replicas = []
    for name in ("one", "two"):
        database = await db.open_database(f"sqlite:///{tmp_path}/s.db", METADATA, Clock(), "s")
        replicas.append(Replica(database, server.url, name))
    with context.bind(organization_id="org_a"):
        yield World(server, replicas)
    for replica in replicas:
        await replica.close()
    server.kill()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async for made in _opened(tmp_path):
        yield made


@pytest.fixture
async def durable_world(tmp_path: Path) -> AsyncIterator[World]:
    async for made in _opened(tmp_path, "--appendonly", "yes"):
        yield made


async def test_what_nobody_had_read_when_redis_came_back_empty(world: World) -> None:
    one, two = world.replicas
    await one.say(0)
    await eventually(lambda: world.all_seen(1))
    await stop([one.tasks.pop(), two.tasks.pop()])  # the group is away
    for number in range(1, 60):
        await (one, two)[number % 2].say(number)
    await eventually(lambda: _at_least(world.length, 60))
    await eventually(lambda: not one.relay._in_hand and not two.relay._in_hand)  # marked
    world.server.kill()
    world.server.start()
    # Nobody publishes anything: the relays notice by themselves.
    await eventually(lambda: _at_least(world.length, 60))
    for replica in world.replicas:
        subscription = Subscription("s", replica.handle)
        replica.tasks.append(
            asyncio.create_task(replica.bus.consume("g", replica.name, [subscription]))
        )
    await eventually(lambda: world.all_seen(60), within=10)


async def test_nothing_new_gets_ahead_of_what_was_lost(world: World) -> None:
    one, two = world.replicas
    await stop([one.tasks.pop(), two.tasks.pop()])
    for number in range(30):
        await one.say(number)
    await eventually(lambda: _at_least(world.length, 30))
    world.server.kill()
    world.server.start()
    for number in range(30, 40):
        await two.say(number)
    await eventually(lambda: _at_least(world.length, 40))
    assert await world.published() == list(range(40))


async def test_a_restart_with_the_marker_publishes_what_is_recent_again(
    durable_world: World,
) -> None:
    world = durable_world
    one, two = world.replicas
    for number in range(20):
        await one.say(number)
    await eventually(lambda: world.all_seen(20))
    await eventually(lambda: not one.relay._in_hand)
    # What the last second of the log may lose.
    await one.redis.xtrim(PREFIX + "s", maxlen=0, approximate=False)
    await asyncio.sleep(1.2)  # appendfsync everysec
    world.server.kill()
    world.server.start()
    await eventually(lambda: _at_least(world.length, 20))
    await two.say(20)
    await eventually(lambda: world.all_seen(21))
    before = await world.length()
    await asyncio.sleep(2.5)
    assert await world.length() == before, "published again more than once"


async def test_old_events_stay_where_they_are_after_a_restart_with_the_marker(
    durable_world: World,
) -> None:
    one, two = durable_world.replicas
    await eventually(lambda: one.relay._well_since and two.relay._well_since)
    for number in range(10):
        await one.say(number)
    await eventually(lambda: durable_world.all_seen(10))
    await eventually(lambda: not one.relay._in_hand)

    def age(tx: db.Tx) -> None:
        tx.execute(sa.text("UPDATE outbox SET published_at = published_at - 3600000000"))

    await one.database.write(age)
    await asyncio.sleep(1.2)  # appendfsync everysec
    durable_world.server.kill()
    durable_world.server.start()
    await two.say(10)
    await eventually(lambda: durable_world.all_seen(11))
    assert await durable_world.length() == 11


async def test_redis_stopped_and_continued(world: World) -> None:
    one, two = world.replicas
    await one.say(0)
    await eventually(lambda: world.all_seen(1))
    world.server.signal(signal.SIGSTOP)
    for number in range(1, 40):
        await (one, two)[number % 2].say(number)
    with pytest.raises(RedisError):
        await one.redis.ping()
    await eventually(lambda: one.relay._well_since is None, within=8)
    world.server.signal(signal.SIGCONT)
    await eventually(lambda: world.all_seen(40), within=10)


async def test_a_long_outage_takes_no_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "LONGEST_QUEUE", 50)
    monkeypatch.setattr(relay, "LARGEST_BATCH", 20)
    one = world.replicas[0]
    await one.say(0)
    await eventually(lambda: world.all_seen(1))
    world.server.kill()
    for number in range(1, 300):
        await one.say(number)
        assert len(one.relay._queue) <= 50
        assert len(one.relay._in_hand) <= 71
    world.server.start()
    await eventually(lambda: world.all_seen(300), within=15)
    assert await world.published() == list(range(300))
    await eventually(lambda: not one.relay._behind)
    await one.say(300)
    await eventually(lambda: world.all_seen(301), within=1)


async def test_redis_killed_again_and_again_under_load(world: World) -> None:
    one, two = world.replicas
    said = 0
    for _ in range(4):
        for _ in range(25):
            await asyncio.gather(one.say(said, f"r{said}"), two.say(said + 1, f"r{said + 1}"))
            said += 2
        world.server.kill()
        await asyncio.gather(one.say(said), two.say(said + 1))
        said += 2
        world.server.start()
    await eventually(lambda: world.all_seen(said), within=20)


async def test_hints_flow_again_after_a_silent_server(world: World) -> None:
    here = Signals(redis_bus.connect(world.server.url), Clock())
    there = Signals(redis_bus.connect(world.server.url), Clock())
    here.start()
    there.start()
    async with there.subscribe("topic") as waiting:
        await waiting.wait(2)
        world.server.kill()
        world.server.start()

        async def crosses() -> bool:
            here.notify("topic")
            return await waiting.wait(0.2)

        await eventually(crosses)
        await waiting.wait(1)
        # An idle connection is not taken for a dead one: nobody is woken for nothing.
        assert not await waiting.wait(5)
    await here.close()
    await there.close()


async def _at_least(count: object, least: int) -> bool:
    try:
        return await count() >= least  # type: ignore[operator]
    except RedisError:
        return False
