"""Between the domain and the contract: pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from libs import errors, pages
from libs.wire import span, timestamp
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session.domain import (
    Artifact,
    Options,
    Session,
    State,
    checked_options,
)

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
        create_time=timestamp(stored.created_at),
        ready_time=timestamp(stored.ready_at),
        end_time=timestamp(stored.ended_at),
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
        create_time=timestamp(stored.created_at),
        expire_time=timestamp(stored.expires_at),
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


def states(numbers: Iterable[int]) -> list[State]:
    """The states asked for."""
    found = [STATES_BY_NUMBER.get(number) for number in numbers]
    if None in found:
        raise errors.Invalid("states", "names a state that does not exist")
    return [state for state in found if state is not None]


def page_start(page_token: str) -> tuple[datetime, str] | None:
    """When the last thing of the page before was made, and its id."""
    found = pages.position(page_token, 2)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found[0]).astimezone(UTC), found[1]
    except (ValueError, OverflowError):
        raise errors.Invalid("page_token", "is not a token of this list") from None


def _options(stored: Options) -> pb.SessionOptions:
    message = pb.SessionOptions(
        viewport_width=stored.viewport_width,
        viewport_height=stored.viewport_height,
        locale=stored.locale,
    )
    message.max_life.FromTimedelta(stored.max_life)
    message.idle_timeout.FromTimedelta(stored.idle_timeout)
    return message
