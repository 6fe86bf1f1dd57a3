"""webhooks: who is told of what, and every attempt to tell them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, TextIO

import click

from gateway.cli.commands import Group, limit_option, terminal
from gateway.cli.terminal import Terminal
from libs.wire import as_dict
from podium.webhook.v1 import webhook_pb2 as pb

FIELDS = (
    ("endpoint", "endpoint_id"),
    ("url", "url"),
    ("events", "event_types"),
    ("filter", "filter"),
    ("run", "run_id"),
    ("workflow", "workflow_id"),
    ("description", "description"),
    ("headers", "header_names"),
    ("certificate", "certificate.subject"),
    ("messages a second", "rate_limit_per_s"),
    ("at once", "max_in_flight"),
    ("ordered", "ordered"),
    ("public keys", "signing_keys"),
    ("old secret until", "previous_secret_expire_time"),
    ("disabled", "disabled"),
    ("because", "disabled_reason"),
    ("paused until", "paused_until"),
    ("because", "pause_reason"),
    ("failing since", "failing_since"),
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
EVENT_COLUMNS = (
    ("event", "event_id"),
    ("position", "position"),
    ("type", "event_type"),
    ("run", "run_id"),
    ("at", "payload.timestamp"),
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
@click.argument("endpoint")
@terminal
def get(term: Terminal, endpoint: str) -> None:
    """One endpoint, and how it is doing."""
    request = pb.GetEndpointRequest(endpoint_id=endpoint)
    term.show(term.edge.ask(term.edge.webhook.GetEndpoint, request).endpoint, FIELDS)


def _choices(function: Any) -> Any:
    """The options by which `create` and `update` say what goes to an endpoint, and how."""
    for option in reversed(
        (
            click.option("--event", "events", multiple=True, help='Such as "run.*"; all.'),
            click.option("--description", help="For people."),
            click.option("--filter", "filter_", help="CEL, such as \"data.state == 'failed'\"."),
            click.option("--run", "run_id", help="Only events about this run."),
            click.option("--workflow", "workflow_id", help="Only of runs of this workflow."),
            click.option("--v1a/--no-v1a", "sign_v1a", default=None, help="Also sign by Ed25519."),
            click.option("--rate", "rate_limit_per_s", type=float, help="Most a second; 0: any."),
            click.option("--at-once", "max_in_flight", type=int, help="Most at once; 0 means 8."),
            click.option("--ordered/--unordered", default=None, help="One by one, in order."),
        )
    ):
        function = option(function)
    return function


def _chosen(events: tuple[str, ...], filter_: str | None, more: dict[str, Any]) -> dict[str, Any]:
    """What was said; what was not is left out."""
    chosen = {"event_types": events or None, "filter": filter_, **more}
    return {name: value for name, value in chosen.items() if value is not None}


@webhooks.command()
@click.argument("url")
@_choices
@click.option(
    "--headers", "headers_file", type=click.File(), help='JSON file of headers, "-" for stdin.'
)
@terminal
def create(
    term: Terminal,
    url: str,
    events: tuple[str, ...],
    filter_: str | None,
    headers_file: TextIO | None,
    **more: Any,
) -> None:
    """Add an endpoint. Its signing secret is printed this once."""
    chosen = _chosen(events, filter_, more)
    headers = _headers(headers_file) if headers_file else {}
    request = pb.CreateEndpointRequest(url=url, headers=headers, **chosen)
    answer = term.edge.ask(term.edge.webhook.CreateEndpoint, request)
    _show_secret(term, answer)


@webhooks.command()
@click.argument("endpoint")
@click.option("--url", help="Where events are sent.")
@_choices
@click.option("--disable/--enable", "disabled", default=None, help="Send nothing, or again.")
@terminal
def update(
    term: Terminal, endpoint: str, events: tuple[str, ...], filter_: str | None, **more: Any
) -> None:
    """Change what is given of an endpoint, and nothing else."""
    get = pb.GetEndpointRequest(endpoint_id=endpoint)
    present = term.edge.ask(term.edge.webhook.GetEndpoint, get).endpoint
    kept = {
        name: getattr(present, name) for name in pb.UpdateEndpointRequest.DESCRIPTOR.fields_by_name
    }
    request = pb.UpdateEndpointRequest(**{**kept, **_chosen(events, filter_, more)})
    term.show(term.edge.ask(term.edge.webhook.UpdateEndpoint, request).endpoint, FIELDS)


@webhooks.command()
@click.argument("endpoint")
@click.option("--overlap", type=float, help="Hours that the old secret still signs; 24.")
@terminal
def rotate(term: Terminal, endpoint: str, overlap: float | None) -> None:
    """Give an endpoint a new signing secret, printed this once."""
    request = pb.RotateEndpointSecretRequest(endpoint_id=endpoint)
    if overlap is not None:
        request.overlap.FromMilliseconds(round(overlap * 3_600_000))
    _show_secret(term, term.edge.ask(term.edge.webhook.RotateEndpointSecret, request))


@webhooks.command()
@click.argument("endpoint")
@click.argument("file", type=click.File())
@terminal
def headers(term: Terminal, endpoint: str, file: TextIO) -> None:
    """Replace an endpoint's headers by those of a JSON file ("-" for stdin; {} removes them)."""
    request = pb.SetEndpointHeadersRequest(endpoint_id=endpoint, headers=_headers(file))
    term.show(term.edge.ask(term.edge.webhook.SetEndpointHeaders, request).endpoint, FIELDS)


@webhooks.command()
@click.argument("endpoint")
@click.option("--certificate", type=click.File(), help="PEM file; none removes it.")
@click.option("--key", type=click.File(), help="PEM file of its private key.")
@terminal
def certificate(
    term: Terminal, endpoint: str, certificate: TextIO | None, key: TextIO | None
) -> None:
    """Set the client certificate that is shown to an endpoint (mutual TLS)."""
    request = pb.SetEndpointCertificateRequest(
        endpoint_id=endpoint,
        certificate_pem=certificate.read() if certificate else "",
        private_key_pem=key.read() if key else "",
    )
    term.show(term.edge.ask(term.edge.webhook.SetEndpointCertificate, request).endpoint, FIELDS)


@webhooks.command()
@limit_option
@terminal
def keys(term: Terminal, limit: int) -> None:
    """The public keys that check v1a signatures."""
    request = pb.ListSigningKeysRequest()
    found = term.edge.pages(term.edge.webhook.ListSigningKeys, request, "keys", limit)
    columns = (("endpoint", "endpoint_id"), ("key", "public_key"), ("until", "expire_time"))
    term.show_list("keys", found, columns)


def _headers(file: TextIO) -> dict[str, str]:
    """Headers from a file: they are secrets, and what is typed stays in the shell's history."""
    try:
        found = json.load(file)
    except ValueError:
        raise click.BadParameter("the file of headers is not JSON") from None
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise click.BadParameter('headers are a JSON object such as {"authorization": "…"}')
    return found


def _show_secret(term: Terminal, answer: Any) -> None:
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
        ("first byte ms", "first_byte_ms"),
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


@webhooks.command()
@click.argument("endpoint")
@click.option(
    "--since",
    required=True,
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    help="From this moment on (UTC).",
)
@click.option("--missed", is_flag=True, help="Also events it was not told of, being disabled say.")
@terminal
def recover(term: Terminal, endpoint: str, since: datetime, missed: bool) -> None:
    """Send again what an endpoint did not get since a time."""
    request = pb.RecoverEndpointRequest(endpoint_id=endpoint, include_missed=missed)
    request.since.FromDatetime(since.replace(tzinfo=UTC))
    answer = term.edge.ask(term.edge.webhook.RecoverEndpoint, request)
    term.show(
        answer,
        (("replayed", "replayed_count"), ("missed before", "missed_count"), ("more", "more")),
    )


@webhooks.command()
@click.option("--after", type=click.IntRange(0), default=0, help="Events after this position.")
@click.option("--event", "events", multiple=True, help='Such as "run.finished" or "run.*"; all.')
@click.option("--run", "run_id", default="", help="Only about this run.")
@limit_option
@terminal
def events(term: Terminal, after: int, events: tuple[str, ...], run_id: str, limit: int) -> None:
    """Events of the organisation, oldest first, for those who would rather pull."""
    found: list[pb.AnnouncedEvent] = []
    while len(found) < limit:
        request = pb.ListEventsRequest(
            after=after, page_size=min(limit - len(found), 200), event_types=events, run_id=run_id
        )
        page = term.edge.ask(term.edge.webhook.ListEvents, request)
        found += page.events
        if page.next_after == after:
            break
        after = page.next_after
    term.show_list("events", found, EVENT_COLUMNS)
