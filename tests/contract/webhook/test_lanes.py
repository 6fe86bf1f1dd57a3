"""Endpoints that fail, limit, or want order: pauses, the breaker, giving up, and recovering."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from libs import errors, ids
from podium.webhook.v1 import webhook_pb2 as pb
from tests.contract.webhook.conftest import Sink, World, status
from tests.support.eventually import eventually


async def endpoint_of(world: World, made: pb.Endpoint) -> pb.Endpoint:
    request = pb.GetEndpointRequest(endpoint_id=made.endpoint_id)
    return (await world.stub().GetEndpoint(request)).endpoint


async def create(world: World, **fields: Any) -> pb.Endpoint:
    return (await world.stub().CreateEndpoint(pb.CreateEndpointRequest(**fields))).endpoint


def numbers(sink: Sink, path: str) -> list[int]:
    return [json.loads(one.body)["data"]["number"] for one in sink.at(path)]


async def test_the_breaker_opens_and_a_success_closes_it(open_world: Any, sink: Sink) -> None:
    # A scale at which the breaker's half a minute lasts for a moment only, and retries none.
    async with open_world(webhook_schedule_scale=0.05) as world:
        made = await create(world, url=sink.answer("/hook", *[status(500)] * 10, status(200)))
        for number in range(10):
            await world.announce("run.started", number=number)

        async def opened() -> Any:
            found = await endpoint_of(world, made)
            return found if found.pause_reason == "breaker" else None

        paused = await eventually(opened)
        assert paused.HasField("failing_since")
        assert paused.paused_until.ToDatetime(tzinfo=UTC) > datetime.now(UTC)
        assert len(sink.at("/hook")) == 10

        async def delivered() -> bool:
            found = await world.deliveries(state=pb.DELIVERY_STATE_DELIVERED)
            return len(found) == 10

        await eventually(delivered, within=15)
        closed = await endpoint_of(world, made)
        assert (closed.pause_reason, closed.HasField("failing_since")) == ("", False)


async def test_one_that_is_busy_is_left_alone_for_as_long_as_it_asked(
    world: World, sink: Sink
) -> None:
    made = await create(world, url=sink.answer("/hook", status(503, retry_after="3600")))
    await world.announce("run.started")
    await eventually(lambda: sink.received)

    async def paused() -> Any:
        found = await endpoint_of(world, made)
        return found if found.pause_reason == "busy" else None

    until = (await eventually(paused)).paused_until.ToDatetime(tzinfo=UTC)
    assert timedelta(minutes=59) < until - datetime.now(UTC) < timedelta(minutes=61)
    await world.announce("run.finished")
    await create(world, url=sink.url + "/witness")
    await world.announce("run.created")
    await eventually(lambda: sink.at("/witness"))
    assert len(sink.at("/hook")) == 1


async def test_a_message_given_up_by_the_receiver_is_dead_at_once(world: World, sink: Sink) -> None:
    await create(world, url=sink.answer("/hook", status(422, webhook_delivery="abort-message")))
    await world.announce("run.started")
    dead = await world.only_delivery(pb.DELIVERY_STATE_DEAD)
    assert [one.error_class for one in dead.attempts] == ["refused_for_good"]
    assert dead.attempts[0].first_byte_ms >= 1


async def test_an_endpoint_that_only_fails_is_disabled_and_others_are_told(
    open_world: Any, sink: Sink
) -> None:
    async with open_world(webhook_patience_s=0) as world:
        sink.answer("/hook", status(500))
        made = await create(
            world, url=sink.url + "/hook", event_types=["run.*"], description="the old one"
        )
        await create(world, url=sink.url + "/operators", event_types=["webhook.*"])
        for _ in range(4):
            await world.announce("run.started")
        await eventually(lambda: sink.at("/operators"), within=15)
        told = json.loads(sink.at("/operators")[0].body)
        assert told["type"] == "webhook.endpoint.disabled"
        assert told["data"]["endpoint_id"] == made.endpoint_id
        assert (told["data"]["reason"], told["data"]["description"]) == ("failing", "the old one")
        found = await endpoint_of(world, made)
        assert (found.disabled, found.disabled_reason) == (True, "failing")
        tries = len(sink.at("/hook"))
        assert tries >= 20
        with pytest.raises(errors.FailedPrecondition):
            await _recover(world, made)

        # What waited goes out when it is enabled again, and its failures are forgotten.
        sink.answer("/hook", status(200))
        update = pb.UpdateEndpointRequest(endpoint_id=made.endpoint_id, url=made.url)
        enabled = (await world.stub().UpdateEndpoint(update)).endpoint
        assert not enabled.HasField("failing_since")

        async def nothing_waits() -> bool:
            found = await world.deliveries(endpoint_id=made.endpoint_id)
            return all(one.state != pb.DELIVERY_STATE_PENDING for one in found)

        await eventually(nothing_waits)


async def test_messages_in_order_wait_for_the_one_before(world: World, sink: Sink) -> None:
    under_way = most = 0

    async def slow(request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return web.Response(status=500 if len(sink.received) % 3 == 1 else 200)

    await create(world, url=sink.answer("/hook", slow), ordered=True)
    run_id = ids.new("run")
    await world.publish(
        *[world.event("run.started", run_id=run_id, number=number) for number in range(12)]
    )

    async def delivered() -> bool:
        found = await world.deliveries(state=pb.DELIVERY_STATE_DELIVERED)
        return len(found) == 12

    await eventually(delivered, within=15)
    arrived = numbers(sink, "/hook")
    assert arrived == sorted(arrived)
    assert len(arrived) > 12
    assert most == 1


async def test_a_rate_limit_holds(world: World, sink: Sink) -> None:
    await create(world, url=sink.url + "/hook", rate_limit_per_s=20.0)
    await world.publish(*[world.event("run.started", number=number) for number in range(25)])
    await eventually(lambda: len(sink.at("/hook")) == 25, within=15)
    times = [one.at for one in sink.at("/hook")]
    # 2 at once, and then 20 a second.
    assert times[-1] - times[0] >= 1.0
    for first, later in zip(times, times[15:], strict=False):
        assert later - first > 0.4


async def test_an_endpoints_own_limit_of_messages_at_once_holds(world: World, sink: Sink) -> None:
    under_way = most = 0

    async def slow(request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return web.Response()

    await create(world, url=sink.answer("/hook", slow), max_in_flight=3)
    await world.publish(*[world.event("run.started", number=number) for number in range(20)])
    await eventually(lambda: len(sink.at("/hook")) == 20, within=10)
    assert most == 3


async def _recover(world: World, made: pb.Endpoint, **more: Any) -> pb.RecoverEndpointResponse:
    request = pb.RecoverEndpointRequest(endpoint_id=made.endpoint_id, **more)
    request.since.FromDatetime(datetime.now(UTC) - timedelta(hours=1))
    return await world.stub().RecoverEndpoint(request)


async def test_dead_and_missed_messages_are_recovered(world: World, sink: Sink) -> None:
    gone = status(400, webhook_delivery="abort-message")
    made = await create(world, url=sink.answer("/hook", gone), event_types=["run.finished"])
    for _ in range(3):
        await world.announce("run.finished")

    async def dead() -> bool:
        return len(await world.deliveries(state=pb.DELIVERY_STATE_DEAD)) == 3

    await eventually(dead)
    disable = pb.UpdateEndpointRequest(
        endpoint_id=made.endpoint_id, url=made.url, event_types=["run.finished"], disabled=True
    )
    await world.stub().UpdateEndpoint(disable)
    for kind in ("run.finished", "run.started", "run.finished"):
        await world.announce(kind)

    async def announced() -> bool:
        return len((await world.stub().ListEvents(pb.ListEventsRequest())).events) == 6

    await eventually(announced)
    disable.disabled = False
    await world.stub().UpdateEndpoint(disable)
    sink.answer("/hook", status(200))
    recovered = await _recover(world, made)
    assert (recovered.replayed_count, recovered.missed_count) == (3, 0)
    recovered = await _recover(world, made, include_missed=True)
    assert (recovered.replayed_count, recovered.missed_count, recovered.more) == (0, 2, False)

    async def delivered() -> bool:
        return len(await world.deliveries(state=pb.DELIVERY_STATE_DELIVERED)) == 5

    await eventually(delivered)
    assert (await _recover(world, made, include_missed=True)).missed_count == 0


async def test_a_time_to_recover_is_checked(world: World, sink: Sink) -> None:
    made = await create(world, url=sink.url)
    request = pb.RecoverEndpointRequest(endpoint_id=made.endpoint_id)
    with pytest.raises(errors.Invalid) as refusal:
        await world.stub().RecoverEndpoint(request)
    assert refusal.value.violations[0][0] == "since"
    request.since.FromDatetime(datetime.now(UTC))
    request.until.FromDatetime(datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(errors.Invalid) as refusal:
        await world.stub().RecoverEndpoint(request)
    assert refusal.value.violations[0][0] == "until"
