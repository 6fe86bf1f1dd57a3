"""The registry on a real Valkey: who lives, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from libs import errors, registry
from libs.events.redis import connect
from libs.presence import reachable
from libs.registry import ChangedSettings, Registry, Replica
from tests.support.eventually import eventually
from tests.support.valkey import valkey


@pytest_asyncio.fixture
async def known() -> AsyncIterator[Registry]:
    with valkey() as url:
        redis = connect(url)
        yield Registry(redis)
        await redis.aclose()


def replica(name: str, work: int = 0) -> Replica:
    return Replica(replica=name, service="task", address=f"unix:/{name}", work=work)


async def names(known: Registry) -> list[str]:
    return [each.replica for each in (await known.list()).replicas]


async def test_who_beats_lives_and_who_leaves_is_gone(known: Registry):
    assert (await known.list()).replicas == ()
    await known.beat(replica("b", work=3), 0)
    await known.beat(replica("a"), 0)
    assert (await known.list()).replicas == (replica("a"), replica("b", work=3))
    await known.leave("a")
    assert await names(known) == ["b"]


async def test_who_is_silent_is_forgotten(known: Registry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "TTL_S", 0.2)
    await known.beat(replica("dead"), 0)
    monkeypatch.setattr(registry, "TTL_S", 60)
    await known.beat(replica("living"), 0)

    async def only_the_living() -> bool:
        return await names(known) == ["living"]

    await eventually(only_the_living)


async def test_a_new_life_ends_the_ones_before_at_once(known: Registry):
    await known.beat(replica("first"), 0)
    await known.beat(replica("second"), 0, ended=["first"])
    assert await names(known) == ["second"]


async def test_coming_and_going_is_heard_and_a_heartbeat_is_not(known: Registry):
    async with known.changes() as changes:
        await changes.wait(0.05)
        for change in (known.beat(replica("a"), 0), known.leave("a")):
            waiting = asyncio.create_task(changes.wait(10))
            await change
            async with asyncio.timeout(5):
                await waiting
        await known.beat(replica("b"), 0)
        await changes.wait(5)
        await known.beat(replica("b", work=1), 0)
        waiting = asyncio.create_task(changes.wait(0.2))
        await asyncio.wait([waiting])
        assert (await known.list()).replicas == (replica("b", work=1),)


async def test_a_heartbeat_brings_settings_that_are_not_known_yet(known: Registry):
    assert await known.beat(replica("a"), 0) is None
    newest = ChangedSettings(2, {"log_level": "DEBUG"})
    assert await known.change_settings(newest)
    assert not await known.change_settings(ChangedSettings(1, {})), "an older one comes late"
    assert await known.beat(replica("a"), 0) == newest
    assert await known.beat(replica("a"), 2) is None


async def test_a_registry_that_is_away_says_so():
    redis = connect("redis://127.0.0.1:1/0")
    with pytest.raises(errors.Unavailable) as refused:
        await Registry(redis).list()
    assert refused.value.reason == "REGISTRY_UNAVAILABLE"
    await redis.aclose()


@pytest.mark.parametrize(
    ("listen", "host", "expected"),
    [
        ("unix:/run/a.sock", "", "unix:/run/a.sock"),
        ("127.0.0.1:50051", "", "127.0.0.1:50051"),
        ("0.0.0.0:50051", "10.0.0.7", "10.0.0.7:50051"),
    ],
)
def test_others_find_a_replica_where_it_can_be_reached(listen: str, host: str, expected: str):
    assert reachable(listen, host) == expected
