"""webhooks: who is told of what, and every attempt to tell them."""

from __future__ import annotations

import click

from gateway.cli.commands import Group, limit_option, terminal
from gateway.cli.terminal import Terminal
from libs.wire import as_dict
from podium.webhook.v1 import webhook_pb2 as pb

FIELDS = (
    ("endpoint", "endpoint_id"),
    ("url", "url"),
    ("events", "event_types"),
    ("description", "description"),
    ("disabled", "disabled"),
    ("because", "disabled_reason"),
    ("created", "create_time"),
)
COLUMNS = (*FIELDS[:3], ("disabled", "disabled"), ("description", "description"))
DELIVERY_COLUMNS = (
    ("delivery", "delivery_id"),
    ("state", "state"),
    ("event", "event_type"),
    ("run", "run_id"),
    ("attempts", "attempt_count"),
    ("next", "next_attempt_time"),
)
STATES = [x.removeprefix("DELIVERY_STATE_").lower() for x in pb.DeliveryState.keys()[1:]]


@click.group(cls=Group)
def webhooks() -> None:
    """Endpoints that are told of events, and their deliveries."""


@webhooks.command("list")
@limit_option
@terminal
def list_(term: Terminal, limit: int) -> None:
    """Endpoints, newest first."""
    request = pb.ListEndpointsRequest()
    found = term.edge.pages(term.edge.webhook.ListEndpoints, request, "endpoints", limit)
    term.show_list("endpoints", found, COLUMNS)


@webhooks.command()
@click.argument("url")
@click.option("--event", "events", multiple=True, help='Such as "run.finished" or "run.*"; all.')
@click.option("--description", default="", help="For people.")
@terminal
def create(term: Terminal, url: str, events: tuple[str, ...], description: str) -> None:
    """Add an endpoint. Its signing secret is printed this once."""
    request = pb.CreateEndpointRequest(url=url, event_types=events, description=description)
    answer = term.edge.ask(term.edge.webhook.CreateEndpoint, request)
    if term.as_json:
        term.emit(as_dict(answer))
        return
    term.show(answer.endpoint, FIELDS)
    term.tell(f"signing secret (shown once): {answer.secret}")


@webhooks.command()
@click.argument("endpoint")
@terminal
def delete(term: Terminal, endpoint: str) -> None:
    """Remove an endpoint; what has not gone out is dropped."""
    request = pb.DeleteEndpointRequest(endpoint_id=endpoint)
    term.edge.ask(term.edge.webhook.DeleteEndpoint, request)
    if term.as_json:
        term.emit({"deleted": endpoint})
    term.tell(f"{endpoint} is removed.")


@webhooks.command()
@click.argument("endpoint")
@terminal
def test(term: Terminal, endpoint: str) -> None:
    """Send a webhook.test event to an endpoint."""
    request = pb.TestEndpointRequest(endpoint_id=endpoint)
    term.show(term.edge.ask(term.edge.webhook.TestEndpoint, request).delivery, DELIVERY_COLUMNS)


@webhooks.command()
@click.option("--endpoint", default="", help="Only to this endpoint.")
@click.option("--run", "run_id", default="", help="Only about this run.")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@limit_option
@terminal
def deliveries(term: Terminal, endpoint: str, run_id: str, state: str | None, limit: int) -> None:
    """Deliveries, newest first."""
    name = f"DELIVERY_STATE_{(state or 'unspecified').upper()}"
    request = pb.ListDeliveriesRequest(endpoint_id=endpoint, run_id=run_id, state=name)
    found = term.edge.pages(term.edge.webhook.ListDeliveries, request, "deliveries", limit)
    term.show_list("deliveries", found, DELIVERY_COLUMNS)


@webhooks.command()
@click.argument("delivery_id")
@terminal
def delivery(term: Terminal, delivery_id: str) -> None:
    """One delivery with its attempts."""
    request = pb.GetDeliveryRequest(delivery_id=delivery_id)
    found = term.edge.ask(term.edge.webhook.GetDelivery, request).delivery
    if term.as_json:
        term.emit(as_dict(found))
        return
    term.show(found, DELIVERY_COLUMNS)
    columns = (
        ("attempt", "number"),
        ("at", "start_time"),
        ("ms", "duration_ms"),
        ("HTTP", "http_status"),
        ("error", "error_message"),
    )
    term.show_list("attempts", list(found.attempts), columns)


@webhooks.command()
@click.argument("delivery_id")
@terminal
def replay(term: Terminal, delivery_id: str) -> None:
    """Send a delivery once more, under the same webhook-id."""
    request = pb.ReplayDeliveryRequest(delivery_id=delivery_id)
    answer = term.edge.ask(term.edge.webhook.ReplayDelivery, request)
    term.show(answer.delivery, DELIVERY_COLUMNS)
