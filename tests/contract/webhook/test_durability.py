"""Nothing is lost and nothing is sent twice without need: crashes, replicas, removals."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from podium.webhook.v1 import webhook_pb2 as pb
from tests.contract.webhook.conftest import Sink, World, hang, status
from tests.support.eventually import eventually
from tests.support.mesh import settings_for


@contextmanager
def process(home: Path, redis_url: str, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The service as a process of its own, killed at the end if it still runs."""
    told = settings_for("webhook", home, redis_url, **{"lease_ttl_s": 1.0, **settings})
    variables = {f"PODIUM_{name.upper()}": str(value) for name, value in told.items()}
    child = subprocess.Popen(
        [sys.executable, "-m", "services.webhook"], env={**os.environ, **variables}
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


async def test_a_killed_replicas_delivery_is_sent_by_the_next_one(
    open_world: Callable[..., Any], home: Path, redis_url: str, sink: Sink
) -> None:
    url = sink.answer("/hook", hang, status(200))
    # The first replica takes the event in but, busy, leaves the sending to the process.
    async with open_world(webhook_concurrency=1) as world:
        await world.endpoint(sink.answer("/busy", hang), "run.created")
        await world.announce("run.created")
        await eventually(lambda: len(sink.at("/busy")) == 1)
        await world.endpoint(url, "run.finished")
        await world.announce("run.finished")
        await eventually(world.deliveries)
    with process(home, redis_url) as child:
        await eventually(lambda: len(sink.at("/hook")) == 1, within=15)
        child.kill()
    sink.answer("/busy", status(200))
    async with open_world() as successor:
        successor.organization = world.organization

        async def all_delivered() -> bool:
            found = await successor.deliveries()
            return [one.state for one in found] == [pb.DELIVERY_STATE_DELIVERED] * 2

        await eventually(all_delivered, within=8)
    first, second = sink.at("/hook")
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_a_drained_replica_hands_its_deliveries_over_at_once(
    open_world: Callable[..., Any], sink: Sink
) -> None:
    url = sink.answer("/hook", hang, status(200))
    async with open_world(lease_ttl_s=60.0) as world:
        await world.endpoint(url)
        await world.announce("run.finished")
        await eventually(lambda: sink.at("/hook"))
        (sending,) = await world.deliveries(state=pb.DELIVERY_STATE_SENDING)
        assert sending.attempt_count == 0
        assert await world.deliveries(state=pb.DELIVERY_STATE_PENDING) == []
    async with open_world() as successor:
        successor.organization = world.organization
        await successor.only_delivery(pb.DELIVERY_STATE_DELIVERED)


async def test_two_replicas_send_each_delivery_once(
    open_world: Callable[..., Any], sink: Sink
) -> None:
    # Long leases: a machine that is slow today is not the fault that this is about.
    async with open_world(lease_ttl_s=30.0) as world, open_world(lease_ttl_s=30.0):
        await world.endpoint(sink.url + "/one")
        await world.endpoint(sink.url + "/two", "run.*")
        events = [world.event("run.started") for _ in range(100)]
        await world.publish(*events)
        await eventually(lambda: len(sink.received) >= 200, within=20)

        async def all_delivered() -> bool:
            found = await world.deliveries(page_size=200, state=pb.DELIVERY_STATE_DELIVERED)
            return len(found) == 200

        await eventually(all_delivered)
    assert len(sink.received) == 200
    assert len({(one.path, one.headers["webhook-id"]) for one in sink.received}) == 200


async def test_a_removed_endpoint_gets_nothing_more(world: World, sink: Sink) -> None:
    endpoint, _ = await world.endpoint(sink.answer("/hook", status(503, retry_after="3600")))
    await world.announce("run.started")
    await eventually(lambda: sink.received)
    remove = pb.DeleteEndpointRequest(endpoint_id=endpoint.endpoint_id)
    await world.stub().DeleteEndpoint(remove)
    dropped = await world.only_delivery(pb.DELIVERY_STATE_DROPPED)
    assert dropped.attempt_count == 1
    await world.announce("run.finished")
    await world.endpoint(sink.url + "/witness")
    await world.announce("run.created")
    await eventually(lambda: sink.at("/witness"))
    assert len(sink.at("/hook")) == 1


async def test_a_replay_during_an_attempt_sends_once_more(world: World, sink: Sink) -> None:
    answered = asyncio.Event()

    async def slow(request: Any) -> Any:
        await answered.wait()
        return await status(200)(request)

    await world.endpoint(sink.answer("/hook", slow, status(200)))
    await world.announce("run.finished")
    await eventually(lambda: sink.received)
    (sending,) = await world.deliveries()
    request = pb.ReplayDeliveryRequest(delivery_id=sending.delivery_id)
    await world.stub().ReplayDelivery(request)
    answered.set()
    delivery = await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
    assert [one.http_status for one in delivery.attempts] == [200, 200]


async def test_the_secret_shows_itself_nowhere(
    world: World, sink: Sink, home: Path, caplog: Any
) -> None:
    caplog.set_level("DEBUG")
    endpoint, secret = await world.endpoint(sink.answer("/hook", status(500), status(200)))
    await world.announce("run.finished")
    await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
    plain = secret.removeprefix("whsec_")
    stored = b"".join(file.read_bytes() for file in (home / "data").iterdir())
    assert endpoint.endpoint_id.encode() in stored
    for form in (secret.encode(), plain.encode(), base64.b64decode(plain)):
        assert form not in stored
    assert plain not in caplog.text
    assert plain not in "".join(str(event) for event in await world.told())
    get = pb.GetEndpointRequest(endpoint_id=endpoint.endpoint_id)
    assert plain not in str(await world.stub().GetEndpoint(get))
