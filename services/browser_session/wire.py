"""Between the domain and the contract: pure functions."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from libs import errors
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session.domain import (
    Artifact,
    Options,
    Session,
    State,
    checked_options,
)

DEFAULT_PAGE = 50
LARGEST_PAGE = 200
STATES = {
    State.QUEUED: pb.SESSION_STATE_QUEUED,
    State.PROVISIONING: pb.SESSION_STATE_PROVISIONING,
    State.READY: pb.SESSION_STATE_READY,
    State.OCCUPIED: pb.SESSION_STATE_OCCUPIED,
    State.CLOSED: pb.SESSION_STATE_CLOSED,
    State.FAILED: pb.SESSION_STATE_FAILED,
    State.CRASHED: pb.SESSION_STATE_CRASHED,
}
STATES_BY_NUMBER: dict[int, State] = {int(number): state for state, number in STATES.items()}


def session(stored: Session) -> pb.Session:
    """A session as the contract says it."""
    return pb.Session(
        browser_session_id=stored.session_id,
        state=STATES[stored.state],
        close_reason=stored.close_reason,
        run_id=stored.run_id,
        options=_options(stored.options),
        warnings=stored.warnings,
        create_time=_time(stored.created_at),
        ready_time=_time(stored.ready_at),
        end_time=_time(stored.ended_at),
    )


def artifact(stored: Artifact) -> pb.Artifact:
    """An artifact as the contract says it."""
    return pb.Artifact(
        artifact_id=stored.artifact_id,
        kind=stored.kind.value,
        name=stored.name,
        content_type=stored.content_type,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        browser_session_id=stored.session_id,
        run_id=stored.run_id,
        create_time=_time(stored.created_at),
    )


def options(asked: pb.SessionOptions) -> tuple[Options, list[str]]:
    """The options to use, and what was changed about the request."""
    return checked_options(
        asked.viewport_width,
        asked.viewport_height,
        asked.locale,
        span("options.max_life", asked.max_life) if asked.HasField("max_life") else None,
        span("options.idle_timeout", asked.idle_timeout)
        if asked.HasField("idle_timeout")
        else None,
    )


def span(field: str, duration: Duration) -> timedelta:
    """A duration as the domain knows it; raises Invalid for one that no clock can hold."""
    try:
        return duration.ToTimedelta()
    except (ValueError, OverflowError) as reason:
        raise errors.Invalid(field, "is not a duration") from reason


def states(numbers: Iterable[int]) -> list[State]:
    """The states asked for."""
    found = [STATES_BY_NUMBER.get(number) for number in numbers]
    if None in found:
        raise errors.Invalid("states", "names a state that does not exist")
    return [state for state in found if state is not None]


def page_size(asked: int) -> int:
    """How many to answer."""
    if asked < 0:
        raise errors.Invalid("page_size", "must not be negative")
    return min(asked or DEFAULT_PAGE, LARGEST_PAGE)


def page_token(last_at: datetime, last_id: str) -> str:
    """Where the next page begins: behind this one."""
    text = f"{last_at.timestamp():.6f} {last_id}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def page_start(token: str) -> tuple[datetime, str] | None:
    """What `page_token` said."""
    if not token:
        return None
    try:
        at, _, last_id = base64.urlsafe_b64decode(token).decode().partition(" ")
        return datetime.fromtimestamp(float(at), UTC), last_id
    except (binascii.Error, ValueError, OverflowError) as reason:
        raise errors.Invalid("page_token", "is not a token of an earlier page") from reason


def _options(stored: Options) -> pb.SessionOptions:
    message = pb.SessionOptions(
        viewport_width=stored.viewport_width,
        viewport_height=stored.viewport_height,
        locale=stored.locale,
    )
    message.max_life.FromTimedelta(stored.max_life)
    message.idle_timeout.FromTimedelta(stored.idle_timeout)
    return message


def _time(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
