"""What the bus promises, on Redis and in memory alike; and what only a real one can show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from libs import context, errors, ids
from libs.clock import Clock
from libs.events import letters, reader, streams
from libs.events import redis as redis_bus
from libs.events.bus import Bus, BusUnavailable, Subscription, TooEarly
from libs.events.memory import MemoryBus
from libs.stopping import stop
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


async def test_what_a_consumer_had_that_is_known_to_be_dead_is_handed_out_at_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CLAIM_IDLE_MS", 3_600_000)
    redis = redis_bus.connect(redis_url)
    await redis.flushall()
    bus = redis_bus.RedisBus(redis, Clock())
    sent = [event(run_id="run_1") for _ in range(3)]
    await bus.publish("s", sent)
    stream = streams.PREFIX + "s"
    await redis.xgroup_create(stream, "a", id="0")
    await redis.xreadgroup("a", "earlier", {stream: ">"}, count=2)
    group = Group(bus, "a")
    consuming = bus.consume("a", "later", [group._subscription], ["earlier", "even-earlier"])
    reading = asyncio.create_task(consuming)
    await eventually(lambda: len(group.seen) == 3)
    await stop([reading])
    assert (await redis.xpending(stream, "a"))["pending"] == 0
    await redis.aclose()


async def test_an_event_whose_handler_failed_comes_again(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "CLAIM_IDLE_MS", 50)
    monkeypatch.setattr(reader, "CLAIM_EVERY_S", 0.05)
    group = Group(bus, "a", failures=2).start()
    await bus.publish("s", [event()])
    await eventually(lambda: len(group.seen) == 1)
    await group.stop()


@pytest.fixture
async def hasty(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """An empty Redis, and readers that claim soon."""
    monkeypatch.setattr(reader, "CLAIM_IDLE_MS", 60)
    monkeypatch.setattr(reader, "CLAIM_EVERY_S", 0.02)
    redis = redis_bus.connect(redis_url)
    await redis.flushall()
    yield redis
    await redis.aclose()


async def test_what_always_fails_is_buried_and_replayed_to_its_group_only(hasty: Any) -> None:
    bus = redis_bus.RedisBus(hasty, Clock())
    buried: list[Any] = []

    async def note(*told: Any) -> None:
        buried.append(told)

    bus.on_buried = note
    failing, other = Group(bus, "a", failures=5).start(), Group(bus, "b").start()
    sent = event(run_id="run_1")
    await bus.publish("s", [sent])
    await eventually(lambda: _length(hasty, streams.DEAD_LETTERS))
    assert (await hasty.xpending(streams.PREFIX + "s", "a"))["pending"] == 0
    [letter] = [letter async for letter in letters.listed(hasty)]
    assert (letter.group, letter.reason, letter.event) == ("a", "RuntimeError", sent)
    assert failing.seen == []
    await eventually(lambda: buried)
    assert buried == [(sent, "s", "RuntimeError")]
    await letters.replay(hasty, letter.letter_id)
    await eventually(lambda: failing.seen)
    assert failing.seen == other.seen == [sent]
    with pytest.raises(errors.NotFound):
        await letters.replay(hasty, letter.letter_id)
    with pytest.raises(errors.Invalid):
        await letters.replay(hasty, "- +")
    await failing.stop()
    await other.stop()


async def test_what_fails_again_after_a_replay_is_buried_again(hasty: Any) -> None:
    bus = redis_bus.RedisBus(hasty, Clock())
    group = Group(bus, "a", failures=1000).start()
    await bus.publish("s", [event()])
    await eventually(lambda: _length(hasty, streams.DEAD_LETTERS))
    [first] = [letter async for letter in letters.listed(hasty)]
    await letters.replay(hasty, first.letter_id)
    assert not await _length(hasty, streams.DEAD_LETTERS)
    await eventually(lambda: _length(hasty, streams.DEAD_LETTERS))
    [second] = [letter async for letter in letters.listed(hasty, limit=10)]
    assert (second.event, second.group) == (first.event, "a")
    await group.stop()


async def test_rubbish_does_not_end_a_consumer(hasty: Any) -> None:
    bus = redis_bus.RedisBus(hasty, Clock())
    group = Group(bus, "a").start()
    for fields in ({b"event": b"\xff\xff\xff"}, {b"other": b"1"}, {b"event": b""}):
        await hasty.xadd(streams.PREFIX + "s", fields)
    await bus.publish("s", [event()])
    await eventually(lambda: group.seen)
    found = [letter async for letter in letters.listed(hasty)]
    assert [letter.event for letter in found] == [None, None]
    with pytest.raises(errors.FailedPrecondition):
        await letters.replay(hasty, found[0].letter_id)
    await group.stop()


async def test_an_outage_of_what_a_handler_needs_buries_nothing(
    hasty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "PATIENCE_S", 0.05)
    monkeypatch.setattr(reader, "_AGAIN_S", 0.01)
    bus = redis_bus.RedisBus(hasty, Clock())
    away = True

    class Needy(Group):
        async def handle(self, given: event_pb2.Event) -> None:
            if away:
                self.organizations.append("tried")
                raise errors.Unavailable("the database does not answer")
            await super().handle(given)

    group = Needy(bus, "a").start()
    await bus.publish("s", [event()])
    await eventually(lambda: len(group.organizations) > 60)
    away = False
    await eventually(lambda: group.seen)
    assert not await _length(hasty, streams.DEAD_LETTERS)
    await group.stop()


async def test_what_comes_too_early_comes_again_as_often_as_it_takes(hasty: Any) -> None:
    bus = redis_bus.RedisBus(hasty, Clock())

    class Orderly(Group):
        async def handle(self, given: event_pb2.Event) -> None:
            self.organizations.append("tried")
            if len(self.organizations) < 3 * streams.MOST_DELIVERIES:
                raise TooEarly("the one before it is not there yet")
            await super().handle(given)

    group = Orderly(bus, "a").start()
    await bus.publish("s", [event()])
    await eventually(lambda: group.seen)
    assert not await _length(hasty, streams.DEAD_LETTERS)
    await group.stop()


async def test_a_slow_handler_keeps_its_event(hasty: Any) -> None:
    bus = redis_bus.RedisBus(hasty, Clock())
    finish = asyncio.Event()
    begun = 0

    class Slow(Group):
        async def handle(self, given: event_pb2.Event) -> None:
            nonlocal begun
            begun += 1
            await finish.wait()
            await super().handle(given)

    group = Slow(bus, "a").start("one").start("two")
    await bus.publish("s", [event()])
    await asyncio.sleep(0.6)  # ten times as long as it takes to be taken for dead
    assert begun == 1
    finish.set()
    await eventually(lambda: group.seen)
    await group.stop()


async def test_what_a_dead_consumer_held_is_taken_over(hasty: Any) -> None:
    bus = redis_bus.RedisBus(hasty, Clock())
    sent = [event(run_id=f"r{number}") for number in range(50)]
    await bus.publish("s", sent)
    await hasty.xgroup_create(streams.PREFIX + "s", "a", id="0")
    await hasty.xreadgroup("a", "dead", {streams.PREFIX + "s": ">"}, count=50)
    group = Group(bus, "a").start()
    await eventually(lambda: len(group.seen) == 50)
    await group.stop()


async def test_a_long_stream_is_cut_to_what_is_still_to_be_read(
    hasty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_bus, "LONG_STREAM", 100)
    bus = redis_bus.RedisBus(hasty, Clock())
    name = streams.PREFIX + "s"
    await bus.publish("s", [event() for _ in range(1000)])
    await hasty.xgroup_create(name, "slow", id="0")
    await hasty.xreadgroup("slow", "x", {name: ">"}, count=300)
    await bus.tidy("s")
    assert await _length(hasty, name) == 1000  # the first is not acknowledged
    read = [message_id for message_id, _ in await hasty.xrange(name, count=300)]
    await hasty.xack(name, "slow", *read)
    await bus.tidy("s")
    assert 700 <= await _length(hasty, name) <= 800


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
