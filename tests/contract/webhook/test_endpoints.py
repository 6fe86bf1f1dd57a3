"""The calls about endpoints and deliveries: what they answer and what they refuse."""

from __future__ import annotations

import pytest
from standardwebhooks.webhooks import Webhook

from libs import errors, ids
from podium.webhook.v1 import webhook_pb2 as pb
from tests.contract.webhook.conftest import Sink, World
from tests.support.eventually import eventually

URL = "http://127.0.0.1:9/hook"


async def test_an_endpoint_is_made_with_a_secret_shown_once(world: World) -> None:
    request = pb.CreateEndpointRequest(url=URL, event_types=["run.*"], description="Ops")
    made = await world.stub().CreateEndpoint(request)
    assert made.secret.startswith("whsec_")
    assert made.endpoint.endpoint_id.startswith("whe_")
    assert (made.endpoint.url, list(made.endpoint.event_types)) == (URL, ["run.*"])
    assert (made.endpoint.description, made.endpoint.disabled) == ("Ops", False)
    get = pb.GetEndpointRequest(endpoint_id=made.endpoint.endpoint_id)
    assert (await world.stub().GetEndpoint(get)).endpoint == made.endpoint
    _, other = await world.endpoint(URL)
    assert other != made.secret


async def test_no_event_types_means_all(world: World) -> None:
    endpoint, _ = await world.endpoint(URL)
    assert list(endpoint.event_types) == ["*"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "url"),
        ({"url": "nonsense"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://user:pw@example.com/"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "http://[::ffff:169.254.169.254]/"}, "url"),
        ({"url": "https://example.com/" + "x" * 3000}, "url"),
        ({"url": URL, "event_types": ["run.*", "runs.finished"]}, "event_types[1]"),
        ({"url": URL, "event_types": ["*"] * 51}, "event_types"),
        ({"url": URL, "description": "x" * 501}, "description"),
    ],
)
async def test_a_wrong_field_is_named(world: World, fields: dict, field: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        await world.stub().CreateEndpoint(pb.CreateEndpointRequest(**fields))
    assert refusal.value.violations[0][0] == field
    assert "pw" not in refusal.value.message
    endpoint, _ = await world.endpoint(URL)
    with pytest.raises(errors.Invalid) as refusal:
        await world.stub().UpdateEndpoint(
            pb.UpdateEndpointRequest(endpoint_id=endpoint.endpoint_id, **fields)
        )
    assert refusal.value.violations[0][0] == field


async def test_private_urls_are_refused_unless_allowed(open_world) -> None:
    async with open_world(allow_private_targets=False) as world:
        for url in (URL, "http://localhost/", "http://10.0.0.1/", "https://example.com:22/"):
            with pytest.raises(errors.Invalid):
                await world.endpoint(url)
        await world.endpoint("https://example.com/hook")


async def test_every_call_with_an_id_refuses_nonsense_and_other_organisations(
    world: World, sink: Sink
) -> None:
    endpoint, _ = await world.endpoint(sink.url + "/hook")
    await world.announce("run.finished")
    delivery = await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
    calls = [
        (name, getattr(pb, f"{name}Request"), kind)
        for name, kind in (
            ("GetEndpoint", "endpoint_id"),
            ("UpdateEndpoint", "endpoint_id"),
            ("DeleteEndpoint", "endpoint_id"),
            ("TestEndpoint", "endpoint_id"),
            ("GetDelivery", "delivery_id"),
            ("ReplayDelivery", "delivery_id"),
        )
    ]
    real = {"endpoint_id": endpoint.endpoint_id, "delivery_id": delivery.delivery_id}
    fresh = {"endpoint_id": ids.new("whe"), "delivery_id": ids.new("whd")}
    for name, request, kind in calls:
        more = {"url": URL} if name == "UpdateEndpoint" else {}
        for wrong in ("", "nonsense", ids.new("run"), real[kind] + "x"):
            with pytest.raises(errors.Invalid) as refusal:
                await getattr(world.stub(), name)(request(**{kind: wrong}, **more))
            assert refusal.value.violations[0][0] == kind
        for stub, unknown in ((world.stub("org_else"), real), (world.stub(), fresh)):
            with pytest.raises(errors.NotFound):
                await getattr(stub, name)(request(**{kind: unknown[kind]}, **more))
    assert await World(world.service, "org_else").deliveries() == []
    assert len(sink.received) == 1


async def test_only_the_gateway_may_call(world: World) -> None:
    from podium.webhook.v1 import webhook_pb2_grpc as pb_grpc

    stub = world.service.stub(pb_grpc.WebhookServiceStub, as_="run", organization="org_a")
    with pytest.raises(errors.PermissionDenied):
        await stub.ListEndpoints(pb.ListEndpointsRequest())


async def test_an_update_replaces_the_values_if_the_etag_is_current(world: World) -> None:
    endpoint, _ = await world.endpoint(URL, "run.*")
    changes = {"endpoint_id": endpoint.endpoint_id, "url": URL + "/2", "disabled": True}
    update = pb.UpdateEndpointRequest(**changes, etag=endpoint.etag)
    changed = (await world.stub().UpdateEndpoint(update)).endpoint
    assert (changed.url, list(changed.event_types)) == (URL + "/2", ["*"])
    assert (changed.disabled, changed.disabled_reason) == (True, "")
    assert changed.etag != endpoint.etag
    with pytest.raises(errors.Aborted):
        await world.stub().UpdateEndpoint(update)
    again = await world.stub().UpdateEndpoint(pb.UpdateEndpointRequest(**changes))
    assert again.endpoint.etag not in (endpoint.etag, changed.etag)


async def test_a_disabled_endpoint_is_told_nothing(world: World, sink: Sink) -> None:
    endpoint, _ = await world.endpoint(sink.url + "/off")
    await world.endpoint(sink.url + "/on")
    disable = pb.UpdateEndpointRequest(
        endpoint_id=endpoint.endpoint_id, url=endpoint.url, disabled=True
    )
    await world.stub().UpdateEndpoint(disable)
    await world.announce("run.finished")
    await eventually(lambda: sink.at("/on"))
    assert sink.at("/off") == []
    with pytest.raises(errors.FailedPrecondition) as refusal:
        await world.stub().TestEndpoint(pb.TestEndpointRequest(endpoint_id=endpoint.endpoint_id))
    assert refusal.value.reason == "ENDPOINT_DISABLED"


async def test_removing_twice_changes_nothing(world: World, sink: Sink) -> None:
    endpoint, _ = await world.endpoint(sink.url + "/hook")
    await world.announce("run.finished")
    delivery = await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
    remove = pb.DeleteEndpointRequest(endpoint_id=endpoint.endpoint_id)
    await world.stub().DeleteEndpoint(remove)
    await world.stub().DeleteEndpoint(remove)
    with pytest.raises(errors.NotFound):
        await world.stub().GetEndpoint(pb.GetEndpointRequest(endpoint_id=endpoint.endpoint_id))
    with pytest.raises(errors.NotFound):
        await world.stub().TestEndpoint(pb.TestEndpointRequest(endpoint_id=endpoint.endpoint_id))
    assert (await world.stub().ListEndpoints(pb.ListEndpointsRequest())).endpoints == []
    with pytest.raises(errors.FailedPrecondition) as refusal:
        await world.stub().ReplayDelivery(
            pb.ReplayDeliveryRequest(delivery_id=delivery.delivery_id)
        )
    assert refusal.value.reason == "ENDPOINT_REMOVED"
    assert (await world.delivery(delivery.delivery_id)).state == pb.DELIVERY_STATE_DELIVERED


async def test_a_test_event_goes_to_its_endpoint_alone(world: World, sink: Sink) -> None:
    endpoint, secret = await world.endpoint(sink.url + "/tried", "run.finished")
    await world.endpoint(sink.url + "/other")
    request = pb.TestEndpointRequest(endpoint_id=endpoint.endpoint_id)
    delivery = (await world.stub().TestEndpoint(request)).delivery
    assert delivery.event_type == "webhook.test"
    delivered = await world.only_delivery(pb.DELIVERY_STATE_DELIVERED)
    assert delivered.delivery_id == delivery.delivery_id
    (received,) = sink.received
    told = Webhook(secret).verify(received.body, received.headers)
    assert (told["type"], told["data"]) == (
        "webhook.test",
        {"endpoint_id": endpoint.endpoint_id},
    )


async def test_lists_are_paged_newest_first(world: World, sink: Sink) -> None:
    made = [(await world.endpoint(f"{sink.url}/{n}"))[0].endpoint_id for n in range(5)]
    seen, token = [], ""
    for size in (2, 2, 1):
        page = await world.stub().ListEndpoints(
            pb.ListEndpointsRequest(page_size=2, page_token=token)
        )
        assert len(page.endpoints) == size
        seen += [one.endpoint_id for one in page.endpoints]
        token = page.next_page_token
    assert token == ""
    assert seen == made[::-1]

    await world.announce("run.finished", run_id=(run_id := ids.new("run")))
    await eventually(lambda: len(sink.received) == 5)
    first = await world.stub().ListDeliveries(pb.ListDeliveriesRequest(page_size=3, run_id=run_id))
    rest = await world.stub().ListDeliveries(
        pb.ListDeliveriesRequest(run_id=run_id, page_token=first.next_page_token)
    )
    assert (len(first.deliveries), len(rest.deliveries), rest.next_page_token) == (3, 2, "")
    (only,) = await world.deliveries(endpoint_id=made[0])
    assert only.endpoint_id == made[0]
    assert list(only.attempts) == []
    assert await world.deliveries(run_id=ids.new("run")) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"page_size": -1}, "page_size"),
        ({"page_token": "nonsense"}, "page_token"),
        ({"endpoint_id": "whe_x"}, "endpoint_id"),
        ({"run_id": "x"}, "run_id"),
        ({"state": 99}, "state"),
    ],
)
async def test_a_wrong_filter_is_named(world: World, fields: dict, field: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        await world.deliveries(**fields)
    assert refusal.value.violations[0][0] == field


async def test_a_page_token_does_not_fit_another_list(world: World, sink: Sink) -> None:
    for path in ("/1", "/2"):
        await world.endpoint(sink.url + path)
    await world.announce("run.finished")
    await eventually(lambda: len(sink.received) == 2)
    page = await world.stub().ListDeliveries(pb.ListDeliveriesRequest(page_size=1))
    with pytest.raises(errors.Invalid, match="other filters"):
        await world.deliveries(page_token=page.next_page_token, state=pb.DELIVERY_STATE_DEAD)
