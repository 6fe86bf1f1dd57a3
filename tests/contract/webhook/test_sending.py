"""What arrives, how often, and what each kind of answer leads to."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from libs import ids
from podium.webhook.v1 import webhook_pb2 as pb
from tests.contract.webhook.conftest import Sink, World, drip, flood, hang, status
from tests.support.eventually import eventually


async def test_an_event_arrives_signed_and_is_logged(world: World, sink: Sink) -> None:
    endpoint, secret = await world.endpoint(sink.url + "/hook", "run.*")
    run_id = ids.new("run")
    event = await world.announce("run.finished", run_id=run_id, state="completed", blocks=3)
    delivery = await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)

    (received,) = sink.at("/hook")
    told = Webhook(secret).verify(received.body, received.headers)
    assert told["type"] == "run.finished"
    assert told["data"] == {"state": "completed", "blocks": 3, "run_id": run_id}
    assert received.headers["webhook-id"] == event.event_id
    assert received.headers["Content-Type"] == "application/json"
    assert json.loads(received.body)["timestamp"].endswith("Z")

    (attempt,) = delivery.attempts
    assert (attempt.number, attempt.http_status, attempt.error_class) == (1, 204, "")
    assert attempt.start_time.ToSeconds() > 0
    assert (delivery.event_id, delivery.run_id) == (event.event_id, run_id)
    assert delivery.endpoint_id == endpoint.endpoint_id
    assert delivery.payload.fields["data"].struct_value["state"] == "completed"
    assert delivery.HasField("end_time")
    assert not delivery.HasField("next_attempt_time")


async def test_only_wanted_events_of_the_own_organisation_arrive(world: World, sink: Sink) -> None:
    await world.endpoint(sink.url + "/finished", "run.finished")
    await world.endpoint(sink.url + "/all")
    other = World(world.service)
    await other.endpoint(sink.url + "/other")
    await world.announce("block.started", source="workflow")
    await world.announce("run.started")
    await world.announce("run.finished")
    await eventually(lambda: len(sink.received) == 4)
    kinds = [json.loads(one.body)["type"] for one in sink.at("/all")]
    assert sorted(kinds) == ["block.started", "run.finished", "run.started"]
    assert len(sink.at("/finished")) == 1
    assert sink.at("/other") == []


async def test_every_stream_of_the_mesh_is_listened_to(world: World, sink: Sink) -> None:
    await world.endpoint(sink.url + "/all")
    told = {
        "workflow": "workflow_run.finished",
        "task": "task.finished",
        "totp": "totp.required",
        "browser_session": "browser_session.closed",
        "run": "run.queued",
    }
    for source, type_ in told.items():
        await world.announce(type_, source=source)
    await eventually(lambda: len(sink.at("/all")) == 5)


async def test_an_event_that_comes_twice_arrives_once(world: World, sink: Sink) -> None:
    await world.endpoint(sink.url + "/hook")
    event = world.event("run.finished")
    await world.publish(event, event)
    await world.publish(event, world.event("run.created"))
    await eventually(lambda: len(sink.at("/hook")) >= 2)
    assert len(await world.deliveries()) == 2
    assert len({one.headers["webhook-id"] for one in sink.at("/hook")}) == 2


async def test_a_failure_is_tried_again_with_the_same_id_until_it_succeeds(
    world: World, sink: Sink
) -> None:
    url = sink.answer("/hook", status(500), status(404), status(200))
    _, secret = await world.endpoint(url)
    event = await world.announce("run.finished")
    delivery = await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
    assert [one.http_status for one in delivery.attempts] == [500, 404, 200]
    assert [one.error_class for one in delivery.attempts] == ["http_status", "http_status", ""]
    assert delivery.attempts[0].response_excerpt == "answer 500"
    assert {one.headers["webhook-id"] for one in sink.received} == {event.event_id}
    for one in sink.received:
        Webhook(secret).verify(one.body, one.headers)


async def test_after_the_tenth_try_it_is_dead_and_can_be_replayed_again_and_again(
    world: World, sink: Sink
) -> None:
    run_id = ids.new("run")
    await world.endpoint(sink.answer("/hook", status(500)))
    await world.announce("run.finished", run_id=run_id)
    dead = await world.only_delivery(pb.DELIVERY_STATE_DEAD, within=15)
    assert dead.attempt_count == len(dead.attempts) == len(sink.received) == 10
    told = await eventually(world.told)
    assert [(one.type, one.run_id) for one in told] == [("webhook.failed", run_id)]

    sink.answer("/hook", status(200))
    for count in (11, 12):
        request = pb.ReplayDeliveryRequest(delivery_id=dead.delivery_id)
        replayed = (await world.stub().ReplayDelivery(request)).delivery
        assert replayed.state == pb.DELIVERY_STATE_PENDING
        delivered = await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
        assert delivered.attempt_count == count
    assert len({one.headers["webhook-id"] for one in sink.received}) == 1


async def test_410_disables_the_endpoint_and_enabling_it_sends_again(
    world: World, sink: Sink
) -> None:
    endpoint, _ = await world.endpoint(sink.answer("/hook", status(410), status(200)), "run.*")
    await world.announce("run.started")
    delivery = await world.only_delivery(pb.DELIVERY_STATE_DEAD)
    assert delivery.attempt_count == 1

    async def both_told() -> Any:
        told = {one.type: one.data for one in await world.told()}
        return told if len(told) == 2 else None

    told = await eventually(both_told)
    assert told["webhook.failed"]["endpoint_disabled"] is True
    assert told["webhook.endpoint.disabled"]["reason"] == "gone"
    assert told["webhook.endpoint.disabled"]["endpoint_id"] == endpoint.endpoint_id
    get = pb.GetEndpointRequest(endpoint_id=endpoint.endpoint_id)
    disabled = (await world.stub().GetEndpoint(get)).endpoint
    assert (disabled.disabled, disabled.disabled_reason) == (True, "gone")
    assert disabled.etag != endpoint.etag

    await world.announce("run.finished")

    async def announced() -> bool:
        asked = pb.ListEventsRequest(event_types=["run.finished"])
        return len((await world.stub().ListEvents(asked)).events) == 1

    await eventually(announced)
    update = pb.UpdateEndpointRequest(
        endpoint_id=endpoint.endpoint_id, url=endpoint.url, event_types=["run.*"]
    )
    enabled = (await world.stub().UpdateEndpoint(update)).endpoint
    assert (enabled.disabled, enabled.disabled_reason) == (False, "")
    await world.stub().ReplayDelivery(pb.ReplayDeliveryRequest(delivery_id=delivery.delivery_id))
    await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
    assert len(sink.received) == 2


@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after_is_honoured(world: World, sink: Sink, code: int) -> None:
    await world.endpoint(sink.answer("/hook", status(code, retry_after="1"), status(200)))
    await world.announce("run.finished")
    await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
    first, second = sink.received
    assert 1.0 <= second.at - first.at < 3.5


async def test_a_redirect_is_a_failure_and_never_followed(world: World, sink: Sink) -> None:
    moved = status(307, location=sink.url + "/elsewhere")
    await world.endpoint(sink.answer("/hook", moved, status(200)))
    await world.announce("run.finished")
    delivery = await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
    assert [one.http_status for one in delivery.attempts] == [307, 200]
    assert "not followed" in delivery.attempts[0].error_message
    assert sink.at("/elsewhere") == []


async def test_a_body_that_drips_is_cut_off_by_the_total_timeout(open_world, sink: Sink) -> None:
    async with open_world(webhook_total_timeout_s=0.5) as world:
        await world.endpoint(sink.answer("/hook", drip, status(200)))
        await world.announce("run.finished")
        delivery = await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
        slow = delivery.attempts[0]
        assert slow.error_class == "timeout"
        assert 400 <= slow.duration_ms < 1500


async def test_of_a_huge_body_only_4_kib_are_kept(world: World, sink: Sink) -> None:
    await world.endpoint(sink.answer("/hook", flood))
    await world.announce("run.finished")
    delivery = await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
    (attempt,) = delivery.attempts
    assert attempt.response_excerpt == "x" * 4096
    assert attempt.duration_ms < 1000


async def test_hanging_endpoints_hold_up_nobody_else(open_world, sink: Sink) -> None:
    async with open_world(webhook_concurrency=8, webhook_endpoint_concurrency=2) as world:
        sink.answer("/slow", hang)
        await world.endpoint(sink.url + "/slow")
        for _ in range(20):
            await world.announce("run.started")
        await eventually(lambda: len(sink.at("/slow")) == 2)
        quick, fast = World(world.service), World(world.service, world.organization)
        await quick.endpoint(sink.url + "/quick")
        await fast.endpoint(sink.url + "/fast", "run.finished")
        began = asyncio.get_running_loop().time()
        await quick.announce("run.started")
        await fast.announce("run.finished")
        arrived = await eventually(lambda: sink.at("/quick") and sink.at("/fast"))
        assert arrived[0].at - began < 1.5
        assert len(sink.at("/slow")) == 2


async def test_a_private_target_is_blocked_at_the_socket(open_world, sink: Sink) -> None:
    async with open_world() as world:
        await world.endpoint(sink.url + "/hook")
        await world.announce("run.created")
        await eventually(lambda: sink.at("/hook"))
    async with open_world(allow_private_targets=False) as strict:
        strict.organization = world.organization
        await strict.announce("run.finished")

        async def blocked() -> pb.Delivery:
            found = (await strict.deliveries())[0]
            assert found.event_type == "run.finished"
            assert found.state == pb.DELIVERY_STATE_DEAD
            return await strict.delivery(found.delivery_id)

        delivery = await eventually(blocked, within=15)
        assert {one.error_class for one in delivery.attempts} == {"blocked_target"}
        assert {one.http_status for one in delivery.attempts} == {0}
        assert len(sink.at("/hook")) == 1


async def test_failures_of_the_connection_have_their_word(world: World, sink: Sink) -> None:
    await world.endpoint("http://127.0.0.1:1/", "run.created")
    await world.endpoint("http://nobody.invalid/", "run.started")
    await world.endpoint(sink.url.replace("http:", "https:") + "/tls", "run.queued")
    for type_ in ("run.created", "run.started", "run.queued"):
        await world.announce(type_)

    async def classes() -> dict[str, str]:
        found = [await world.delivery(one.delivery_id) for one in await world.deliveries()]
        return {one.event_type: one.attempts[0].error_class for one in found if one.attempts}

    expected = {"run.created": "connect", "run.started": "dns", "run.queued": "tls"}
    assert await eventually(lambda: _equal(classes, expected))


async def _equal(ask, expected) -> bool:
    answer = await ask()
    assert answer == expected
    return True
