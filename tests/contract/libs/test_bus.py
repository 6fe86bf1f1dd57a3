"""What the bus promises, on Redis and in memory alike; and what only a real one can show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from libs import context, ids
from libs.clock import Clock
from libs.events import reader, streams
from libs.events import redis as redis_bus
from libs.events.bus import Bus, BusUnavailable, Subscription
from libs.events.memory import MemoryBus
from podium.common.v1 import event_pb2
from tests.support import valkey
from tests.support.eventually import eventually


@pytest.fixture(params=["memory", "redis"])
async def bus(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Bus]:
    if request.param == "memory":
        yield MemoryBus()
        return
    redis = redis_bus.connect(redis_url)
    await redis.flushall()
    yield redis_bus.RedisBus(redis, Clock())
    await redis.aclose()


def event(type_: str = "thing.done", run_id: str = "", source: str = "s") -> event_pb2.Event:
    return event_pb2.Event(
        event_id=ids.new("evt"), type=type_, source=source, run_id=run_id, organization_id="org_a"
    )


class Group:
    """A group of consumers that notes what it was given."""

    def __init__(self, bus: Bus, name: str, failures: int = 0, types: Any = frozenset()) -> None:
        self.seen: list[event_pb2.Event] = []
        self.organizations: list[str] = []
        self._failures = failures
        self._bus = bus
        self._name = name
        self._subscription = Subscription("s", self.handle, types)
        self._tasks: list[asyncio.Task[None]] = []

    async def handle(self, given: event_pb2.Event) -> None:
        if self._failures:
            self._failures -= 1
            raise RuntimeError("not yet")
        self.seen.append(given)
        self.organizations.append(context.current().organization_id)

    def start(self, consumer: str = "one") -> Group:
        consuming = self._bus.consume(self._name, consumer, [self._subscription])
        self._tasks.append(asyncio.create_task(consuming))
        return self

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_each_group_sees_every_event_in_order(bus: Bus) -> None:
    groups = [Group(bus, name).start() for name in ("a", "b")]
    sent = [event(run_id="run_1") for _ in range(100)]
    await bus.publish("s", sent[:50])
    await bus.publish("s", sent[50:])
    for group in groups:
        await eventually(lambda group=group: len(group.seen) == 100)
        assert [e.event_id for e in group.seen] == [e.event_id for e in sent]
        assert set(group.organizations) == {"org_a"}
        await group.stop()


async def test_consumers_of_one_group_share_the_events(bus: Bus) -> None:
    group = Group(bus, "a").start("one").start("two")
    sent = [event() for _ in range(60)]
    await bus.publish("s", sent)
    await eventually(lambda: len(group.seen) == 60)
    assert {e.event_id for e in group.seen} == {e.event_id for e in sent}
    await group.stop()


async def test_only_the_wanted_types_are_handed_out(bus: Bus) -> None:
    group = Group(bus, "a", types={"b.done"}).start()
    await bus.publish("s", [event("a.done"), event("b.done"), event("c.done")])
    await eventually(lambda: group.seen)
    assert [e.type for e in group.seen] == ["b.done"]
    await group.stop()


async def test_what_was_published_before_the_group_existed_is_seen(bus: Bus) -> None:
    await bus.publish("s", [event()])
    group = Group(bus, "late").start()
    await eventually(lambda: len(group.seen) == 1)
    await group.stop()


async def test_an_event_whose_handler_failed_comes_again(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CLAIM_IDLE_MS", 50)
    monkeypatch.setattr(reader, "CLAIM_EVERY_S", 0.05)
    group = Group(bus, "a", failures=2).start()
    await bus.publish("s", [event()])
    await eventually(lambda: len(group.seen) == 1)
    await group.stop()


async def test_what_always_fails_goes_to_the_dead_letters(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CLAIM_IDLE_MS", 20)
    monkeypatch.setattr(reader, "CLAIM_EVERY_S", 0.02)
    redis = redis_bus.connect(redis_url)
    await redis.flushall()
    bus = redis_bus.RedisBus(redis, Clock())
    group = Group(bus, "a", failures=1000).start()
    await bus.publish("s", [event()])
    await eventually(lambda: _length(redis, streams.DEAD_LETTERS))
    pending = await redis.xpending(streams.PREFIX + "s", "a")
    assert pending["pending"] == 0
    await group.stop()
    await redis.aclose()


async def _length(redis: Redis, stream: str) -> int:
    return await redis.xlen(stream)


async def test_a_bus_that_comes_back_empty_is_used_again(tmp_path: Path) -> None:
    path = tmp_path / "v.sock"
    server = valkey.start(path, str(tmp_path))
    redis = redis_bus.connect(f"unix://{path}")
    bus = redis_bus.RedisBus(redis, Clock())
    group = Group(bus, "a").start()
    await bus.publish("s", [event()])
    await eventually(lambda: len(group.seen) == 1)
    server.kill()
    server.wait()
    with pytest.raises(BusUnavailable):
        await bus.publish("s", [event()])
    server = valkey.start(path, str(tmp_path))
    await bus.publish("s", [event()])
    await eventually(lambda: len(group.seen) == 2, within=10)
    await group.stop()
    await redis.aclose()
    server.kill()
    server.wait()
