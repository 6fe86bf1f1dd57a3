"""What the service promises on PostgreSQL, two replicas on one schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs import ids
from podium.webhook.v1 import webhook_pb2 as pb
from tests.contract.webhook.conftest import Sink, World, status
from tests.support.eventually import eventually
from tests.support.postgres import postgres


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with postgres() as url:
        yield url


async def settled(world: World, state: int, number: int) -> None:
    async def all_there() -> bool:
        return len(await world.deliveries(state=state, page_size=200)) == number

    await eventually(all_there, within=30)


async def create(world: World, **fields: Any) -> pb.Endpoint:
    return (await world.stub().CreateEndpoint(pb.CreateEndpointRequest(**fields))).endpoint


async def test_two_replicas_send_each_delivery_once_and_in_order(
    open_world: Callable[..., Any], sink: Sink, postgres_url: str
) -> None:
    told = {"database_url": postgres_url, "lease_ttl_s": 30.0}
    async with open_world(**told) as world, open_world(**told):
        run_id = ids.new("run")
        sink.answer("/ordered", status(500), status(200))
        await create(world, url=sink.url + "/ordered", ordered=True)
        await create(world, url=sink.url + "/one", run_id=run_id)
        await create(world, url=sink.url + "/some", filter="data.number >= 50")
        events = [world.event("run.started", run_id=run_id, number=n) for n in range(60)]
        await world.publish(*events)
        await settled(world, pb.DELIVERY_STATE_DELIVERED, 60 + 60 + 10)
        order = [json.loads(one.body)["data"]["number"] for one in sink.at("/ordered")]
        assert order == [0, *range(60)]
        for path, number in (("/one", 60), ("/some", 10)):
            assert len(sink.at(path)) == number
            assert len({one.headers["webhook-id"] for one in sink.at(path)}) == number
        pulled = await world.stub().ListEvents(pb.ListEventsRequest(page_size=200))
        assert [one.event_id for one in pulled.events] == [event.event_id for event in events]


async def test_failing_limits_and_recovery(
    open_world: Callable[..., Any], sink: Sink, postgres_url: str
) -> None:
    told = {"database_url": postgres_url, "lease_ttl_s": 30.0, "webhook_patience_s": 0}
    async with open_world(**told) as world:
        sink.answer("/hook", status(500))
        made = await create(world, url=sink.url + "/hook", event_types=["run.*"])
        await create(world, url=sink.url + "/told", event_types=["webhook.*"])
        await create(world, url=sink.url + "/slow", rate_limit_per_s=50.0, event_types=["run.*"])
        for _ in range(5):
            await world.announce("run.started")

        async def all_is_told() -> bool:
            assert len(sink.at("/slow")) == 5
            assert sink.at("/told"), sink.received
            return True

        await eventually(all_is_told, within=20)
        get = pb.GetEndpointRequest(endpoint_id=made.endpoint_id)
        assert (await world.stub().GetEndpoint(get)).endpoint.disabled_reason == "failing"
        sink.answer("/hook", status(200))
        update = pb.UpdateEndpointRequest(endpoint_id=made.endpoint_id, url=made.url)
        await world.stub().UpdateEndpoint(update)
        recover = pb.RecoverEndpointRequest(endpoint_id=made.endpoint_id, include_missed=True)
        recover.since.FromDatetime(datetime.now(UTC) - timedelta(hours=1))
        await world.stub().RecoverEndpoint(recover)

        async def nothing_is_dead() -> bool:
            found = await world.deliveries(endpoint_id=made.endpoint_id)
            return {one.state for one in found} == {pb.DELIVERY_STATE_DELIVERED}

        await eventually(nothing_is_dead, within=20)
