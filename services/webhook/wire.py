"""Webhook's rows and announcements to and from protobuf; pure functions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from libs import errors
from libs.wire import plain, struct, timestamp
from podium.common.v1 import event_pb2
from podium.webhook.v1 import webhook_pb2 as pb
from services.webhook.domain import TEST_EVENT, Announcement, State
from services.webhook.store import DeliveryFilter

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
    return _announcement(
        event.event_id,
        event.type,
        event.organization_id,
        event.run_id,
        event.occurred_at.ToDatetime(tzinfo=UTC),
        data,
    )


def test_announcement(
    event_id: str, organization_id: str, endpoint_id: str, at: datetime
) -> Announcement:
    """The event by which an endpoint is tried out."""
    return _announcement(
        event_id, TEST_EVENT, organization_id, "", at, {"endpoint_id": endpoint_id}
    )


def _announcement(
    event_id: str, kind: str, organization_id: str, run_id: str, at: datetime, data: dict[str, Any]
) -> Announcement:
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    envelope = {"type": kind, "timestamp": moment, "data": data}
    body = json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))
    return Announcement(event_id, kind, organization_id, run_id, body)


# Answers


def endpoint(row: Any) -> pb.Endpoint:
    """An endpoint without its secret."""
    return pb.Endpoint(
        endpoint_id=row.endpoint_id,
        url=row.url,
        event_types=row.event_types,
        description=row.description,
        disabled=row.disabled,
        disabled_reason=row.disabled_reason,
        etag=etag(row),
        create_time=timestamp(row.created_at),
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
        payload=struct(json.loads(row.body)),
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
