"""kill -9 while many deliveries are under way: none is lost, and few come twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from libs import ids
from libs.clock import Clock
from libs.events.redis import RedisBus, connect
from podium.webhook.v1 import webhook_pb2 as pb
from tests.contract.webhook.conftest import World
from tests.contract.webhook.test_durability import process
from tests.support.counting_sink import report, sink
from tests.support.eventually import eventually

ENDPOINTS = 10


@pytest.mark.parametrize(
    ("deliveries", "kills", "within"),
    [
        pytest.param(400, 1, 40, id="400"),
        pytest.param(
            20_000, 5, 600, id="20000", marks=[pytest.mark.long, pytest.mark.timeout(900)]
        ),
    ],
)
async def test_none_is_lost(
    open_world: Callable[..., Any],
    home: Path,
    redis_url: str,
    deliveries: int,
    kills: int,
    within: float,
) -> None:
    with sink(delay_ms=5) as url:
        organization = await _endpoints(open_world, url)
        for number in range(kills):
            with process(home, redis_url, webhook_schedule_scale=0) as child:
                if number == 0:
                    await _announce(redis_url, organization, deliveries // ENDPOINTS)
                enough = deliveries * (number + 1) // (kills + 1)
                await eventually(lambda n=enough: _arrived(url, n), within=within)
                child.kill()
                child.wait()
        with process(home, redis_url, webhook_schedule_scale=0):
            await eventually(lambda: _arrived(url, deliveries), within=within)
        found = await report(url)
    again = sum(each["count"] for path, each in found.items() if path.endswith(" again"))
    first = sum(each["count"] for path, each in found.items() if not path.endswith(" again"))
    assert first == deliveries
    # What was under way when it was killed, and what had arrived but was not recorded yet.
    assert again <= kills * 2 * 256


async def _endpoints(open_world: Callable[..., Any], url: str) -> str:
    async with open_world() as world:
        for number in range(ENDPOINTS):
            await world.endpoint(f"{url}/{number}")
        return world.organization


async def _announce(redis_url: str, organization: str, count: int) -> None:
    redis = connect(redis_url)
    bus = RedisBus(redis, Clock())
    world = World(None, organization)  # type: ignore[arg-type]
    events = [world.event("run.finished", run_id=ids.new("run")) for _ in range(count)]
    for at in range(0, count, 500):
        await bus.publish("run", events[at : at + 500])
    await redis.aclose()


async def _arrived(url: str, number: int) -> bool:
    found = await report(url)
    return number <= sum(
        each["count"] for path, each in found.items() if not path.endswith(" again")
    )


@pytest.mark.long
async def test_a_process_that_stood_still_sends_no_more_than_once_more(
    open_world: Callable[..., Any], home: Path, redis_url: str
) -> None:
    """A zombie: its leases ran out, another sent what it had, and then it goes on."""
    with sink(delay_ms=200) as url:
        organization = await _endpoints(open_world, url)
        with process(home, redis_url, webhook_schedule_scale=0) as first:
            await _announce(redis_url, organization, 3)
            await eventually(lambda: _arrived(url, 1), within=20)
            os.kill(first.pid, signal.SIGSTOP)
            with process(home, redis_url, webhook_schedule_scale=0):
                await eventually(lambda: _arrived(url, 30), within=20)
                os.kill(first.pid, signal.SIGCONT)
                async with open_world() as world:
                    world.organization = organization

                    async def all_delivered() -> bool:
                        state = pb.DELIVERY_STATE_DELIVERED
                        return len(await world.deliveries(state=state, page_size=200)) == 30

                    await eventually(all_delivered, within=20)
        found = await report(url)
    again = sum(each["count"] for path, each in found.items() if path.endswith(" again"))
    assert again <= 30
