"""Bulkheads: places in order, full queues, patience, and nothing lost on the way."""

from __future__ import annotations

import asyncio

import pytest

from gateway.bulkheads import Bulkhead, Room
from gateway.settings import GatewaySettings
from libs import errors
from libs.settings import load
from tests.support.eventually import eventually


async def test_the_rest_waits_in_order():
    bulkhead, order = Bulkhead("run", Room(concurrent=1, queued=5)), []

    async def one(name: int) -> None:
        async with bulkhead.place():
            order.append(name)

    await bulkhead.acquire()
    tasks = [asyncio.create_task(one(name)) for name in range(5)]
    await eventually(lambda: bulkhead.queued == 5)
    assert order == []
    bulkhead.release()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert (bulkhead.running, bulkhead.queued) == (0, 0)


async def test_a_full_queue_refuses_at_once():
    bulkhead = Bulkhead("run", Room(concurrent=1, queued=1))
    await bulkhead.acquire()
    waiting = asyncio.create_task(bulkhead.acquire())
    await eventually(lambda: bulkhead.queued == 1)
    with pytest.raises(errors.Exhausted) as full:
        await bulkhead.acquire()
    assert full.value.reason == "BULKHEAD_FULL"
    assert full.value.retry_after_s == 1.0
    bulkhead.release()
    await waiting


@pytest.mark.parametrize("within_s", [None, 0.02])
async def test_patience_ends(within_s):
    patience = 0.02 if within_s is None else 30.0
    bulkhead = Bulkhead("run", Room(concurrent=1, queued=5, acquire_timeout_s=patience))
    await bulkhead.acquire()
    with pytest.raises(errors.Exhausted):
        await bulkhead.acquire(within_s)
    assert (bulkhead.running, bulkhead.queued, bulkhead.refused) == (1, 0, 1)


async def test_one_who_leaves_the_queue_takes_no_place_along():
    bulkhead = Bulkhead("run", Room(concurrent=1, queued=5))
    await bulkhead.acquire()
    leaving = asyncio.create_task(bulkhead.acquire())
    staying = asyncio.create_task(bulkhead.acquire())
    await eventually(lambda: bulkhead.queued == 2)
    leaving.cancel()
    bulkhead.release()
    await staying
    bulkhead.release()
    assert (bulkhead.running, bulkhead.queued) == (0, 0)


async def test_a_place_that_comes_at_the_moment_of_leaving_is_passed_on():
    bulkhead = Bulkhead("run", Room(concurrent=1, queued=5))
    await bulkhead.acquire()
    leaving = asyncio.create_task(bulkhead.acquire())
    await eventually(lambda: bulkhead.queued == 1)
    bulkhead.release()  # The place is given, the task has not run yet.
    leaving.cancel()
    await asyncio.wait({leaving})
    if not leaving.cancelled():
        bulkhead.release()
    assert (bulkhead.running, bulkhead.queued) == (0, 0)


async def test_streams_have_a_limit_of_their_own():
    bulkhead = Bulkhead("run", Room(concurrent=1, queued=0, long_lived=1))
    async with bulkhead.long_stay():
        async with bulkhead.place():
            pass
        with pytest.raises(errors.Exhausted):
            async with bulkhead.long_stay():
                pass
    assert bulkhead.long_lived == 0


def test_the_designs_numbers_and_their_override():
    settings = load(GatewaySettings, bulkheads={"run": Room(concurrent=1, queued=2)})
    assert settings.room("totp") == Room(concurrent=10, queued=50)
    assert settings.room("browser_session") == Room(concurrent=20, queued=100)
    assert settings.room("workflow") == Room(concurrent=50, queued=200)
    assert settings.room("task") == Room(concurrent=100, queued=500)
    assert settings.room("run").queued == 2


async def test_more_room_lets_in_who_waits_and_less_keeps_who_is_in():
    bulkhead = Bulkhead("run", Room(concurrent=1, queued=5))
    await bulkhead.acquire()
    waiting = [asyncio.create_task(bulkhead.acquire()) for _ in range(3)]
    await eventually(lambda: bulkhead.queued == 3)
    bulkhead.resize(Room(concurrent=3, queued=5))
    await eventually(lambda: bulkhead.queued == 1)
    assert bulkhead.running == 3
    bulkhead.resize(Room(concurrent=1, queued=5))
    bulkhead.release()
    bulkhead.release()
    assert (bulkhead.running, bulkhead.queued) == (1, 1)
    bulkhead.release()
    await asyncio.gather(*waiting)
    assert (bulkhead.running, bulkhead.queued) == (1, 0)
    bulkhead.release()
    assert bulkhead.running == 0
