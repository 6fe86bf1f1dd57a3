"""Webhook's rows and announcements to and from protobuf; pure functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from libs import errors
from libs.wire import plain, span, struct, timestamp
from podium.common.v1 import event_pb2
from podium.webhook.v1 import webhook_pb2 as pb
from services.webhook.domain import TEST_EVENT, Announcement, State
from services.webhook.store import DeliveryFilter

LONGEST_WAIT_S = 30
_STATES = {
    State.PENDING: pb.DELIVERY_STATE_PENDING,
    State.DELIVERED: pb.DELIVERY_STATE_DELIVERED,
    State.DEAD: pb.DELIVERY_STATE_DEAD,
    State.DROPPED: pb.DELIVERY_STATE_DROPPED,
}
_STATES_READ = {number: state for state, number in _STATES.items()}


# What is announced


def announcement(event: event_pb2.Event) -> Announcement:
    """An event as endpoints are told it: its facts, and the ids of what it concerns."""
    concerned = {
        "run_id": event.run_id,
        "workflow_run_id": event.workflow_run_id,
        "task_id": event.task_id,
    }
    data = plain(event.data)
    data |= {name: value for name, value in concerned.items() if value}
    # Of another service's events none is trusted with saying it: a page's data may be in them.
    workflow_id = str(data.get("workflow_id", "")) if event.source == "run" else ""
    return _announcement(
        event.event_id,
        event.type,
        event.organization_id,
        event.run_id,
        event.occurred_at.ToDatetime(tzinfo=UTC),
        data,
        workflow_id,
    )


def test_announcement(
    event_id: str, organization_id: str, endpoint_id: str, at: datetime
) -> Announcement:
    """The event by which an endpoint is tried out."""
    return _announcement(
        event_id, TEST_EVENT, organization_id, "", at, {"endpoint_id": endpoint_id}
    )


def _announcement(
    event_id: str,
    kind: str,
    organization_id: str,
    run_id: str,
    at: datetime,
    data: dict[str, Any],
    workflow_id: str = "",
) -> Announcement:
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    envelope = {"type": kind, "timestamp": moment, "data": data}
    body = orjson.dumps(envelope).decode()
    return Announcement(event_id, kind, organization_id, run_id, workflow_id, data, body)


# Answers


def endpoint(row: Any, now: datetime) -> pb.Endpoint:
    """An endpoint without its secrets."""
    paused = row.paused_until is not None and row.paused_until > now
    return pb.Endpoint(
        endpoint_id=row.endpoint_id,
        url=row.url,
        event_types=row.event_types,
        description=row.description,
        disabled=row.disabled,
        disabled_reason=row.disabled_reason,
        etag=etag(row),
        create_time=timestamp(row.created_at),
        filter=row.filter,
        run_id=row.run_id,
        workflow_id=row.workflow_id,
        sign_v1a=row.sign_v1a,
        signing_keys=signing_keys(row, now) if row.sign_v1a else (),
        previous_secret_expire_time=timestamp(_previous_until(row, now)),
        header_names=row.header_names,
        certificate=_certificate(row.certificate),
        rate_limit_per_s=row.rate_limit_per_s,
        max_in_flight=row.max_in_flight,
        ordered=row.ordered,
        paused_until=timestamp(row.paused_until) if paused else None,
        pause_reason=row.pause_reason if paused else "",
        failing_since=timestamp(row.failing_since),
    )


def signing_keys(row: Any, now: datetime, endpoint_id: str = "") -> list[pb.SigningKey]:
    """The public keys of an endpoint that are in use."""
    return [
        pb.SigningKey(
            public_key=key["key"],
            expire_time=timestamp(_moment(key["until"])),
            endpoint_id=endpoint_id,
        )
        for key in row.public_keys
        if key["until"] is None or key["until"] > now.timestamp()
    ]


def _previous_until(row: Any, now: datetime) -> datetime | None:
    moments = [_moment(key["until"]) for key in row.public_keys]
    return max((moment for moment in moments if moment and moment > now), default=None)


def _certificate(facts: dict[str, Any] | None) -> pb.ClientCertificate | None:
    if facts is None:
        return None
    return pb.ClientCertificate(
        subject=facts["subject"],
        fingerprint_sha256=facts["fingerprint"],
        expire_time=timestamp(_moment(facts["until"])),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def announced(row: Any) -> pb.AnnouncedEvent:
    """An event for those who pull."""
    return pb.AnnouncedEvent(
        event_id=row.event_id,
        event_type=row.event_type,
        run_id=row.run_id,
        workflow_id=row.workflow_id,
        position=row.position,
        payload=struct(orjson.loads(row.body)),
    )


def etag(row: Any) -> str:
    """Changes with every update of the endpoint."""
    return f"v{row.version}"


def delivery(row: Any, now: datetime, attempts: list[Any] | None = None) -> pb.Delivery:
    """A delivery; one that is pending and leased is being sent."""
    state = State(row.state)
    pending = state is State.PENDING
    sending = pending and row.lease_until is not None and row.lease_until >= now
    return pb.Delivery(
        delivery_id=row.delivery_id,
        endpoint_id=row.endpoint_id,
        event_id=row.event_id,
        event_type=row.event_type,
        run_id=row.run_id,
        state=pb.DELIVERY_STATE_SENDING if sending else _STATES[state],
        attempt_count=row.attempt_count,
        next_attempt_time=timestamp(row.due_at) if pending and not sending else None,
        attempts=[_attempt(one) for one in attempts or ()],
        payload=struct(orjson.loads(row.body)),
        create_time=timestamp(row.created_at),
        end_time=timestamp(row.ended_at),
    )


def _attempt(row: Any) -> pb.Attempt:
    return pb.Attempt(
        number=row.number,
        start_time=timestamp(row.started_at),
        duration_ms=row.duration_ms,
        http_status=row.http_status,
        error_class=row.error_class,
        error_message=row.error_message,
        response_excerpt=row.response_excerpt,
        first_byte_ms=row.first_byte_ms,
    )


# Filters


def delivery_filter(request: pb.ListDeliveriesRequest) -> DeliveryFilter:
    """Which deliveries are asked for."""
    state, sending = None, request.state == pb.DELIVERY_STATE_SENDING
    if sending:
        state = State.PENDING
    elif request.state != pb.DELIVERY_STATE_UNSPECIFIED:
        state = _STATES_READ.get(request.state)
        if state is None:
            raise errors.Invalid("state", f"{request.state} is not a state of a delivery")
    return DeliveryFilter(request.endpoint_id, request.run_id, state, sending)


def overlap(request: pb.RotateEndpointSecretRequest) -> timedelta | None:
    """How long the present secret is to go on signing; None when nothing is said."""
    return span("overlap", request.overlap) if request.HasField("overlap") else None


def wait_s(request: pb.ListEventsRequest) -> float:
    """How long to wait for an event."""
    asked = span("wait", request.wait).total_seconds()
    if not 0 <= asked <= LONGEST_WAIT_S:
        raise errors.Invalid("wait", f"must be from 0 to {LONGEST_WAIT_S} seconds")
    return asked


def recovered_time(request: pb.RecoverEndpointRequest, now: datetime) -> tuple[datetime, datetime]:
    """The time to recover: from when and until when."""
    if not request.HasField("since"):
        raise errors.Invalid("since", "is required")
    since = _read("since", request.since)
    until = _read("until", request.until) if request.HasField("until") else now
    if until <= since:
        raise errors.Invalid("until", "must be after since")
    return since, until


def _read(field: str, message: Any) -> datetime:
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise errors.Invalid(field, "is not a moment") from None
