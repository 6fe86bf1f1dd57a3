"""Between the domain and the contract: pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from libs import errors, pages
from libs.secrets import Secret
from libs.wire import span, timestamp
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import settings_pb2
from services.browser_session.domain import (
    Artifact,
    Options,
    Session,
    State,
    checked_options,
)
from services.browser_session.egress import policy, upstream
from services.browser_session.egress.policy import Egress
from services.browser_session.presence import (
    DEFAULT_ACCURACY_M,
    Geolocation,
    Hidden,
    Presence,
)

STATES = {
    State.QUEUED: pb.SESSION_STATE_QUEUED,
    State.PROVISIONING: pb.SESSION_STATE_PROVISIONING,
    State.READY: pb.SESSION_STATE_READY,
    State.OCCUPIED: pb.SESSION_STATE_OCCUPIED,
    State.CLOSED: pb.SESSION_STATE_CLOSED,
    State.FAILED: pb.SESSION_STATE_FAILED,
    State.CRASHED: pb.SESSION_STATE_CRASHED,
    State.DRAINING: pb.SESSION_STATE_DRAINING,
    State.TIMED_OUT: pb.SESSION_STATE_TIMED_OUT,
}
USUAL_QUEUE_S = 60.0
LONGEST_QUEUE_S = 600.0
LONGEST_KEY = 128
REUSE_MODES: dict[int, str] = {
    settings_pb2.REUSE_MODE_PER_WORKFLOW: "workflow",
    settings_pb2.REUSE_MODE_PER_KEY: "key",
}
STATES_BY_NUMBER: dict[int, State] = {int(number): state for state, number in STATES.items()}


def session(stored: Session, queue_position: int = 0) -> pb.Session:
    """A session as the contract says it."""
    waits = stored.state is State.QUEUED
    return pb.Session(
        queue_position=queue_position,
        queue_expire_time=timestamp(stored.queue_until) if waits else None,
        expire_time=timestamp(stored.expires_at) if stored.ready_at else None,
        reuse_key=stored.reuse_key.partition(":")[2],
        browser_session_id=stored.session_id,
        state=STATES[stored.shown_state],
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


def options(asked: pb.SessionOptions) -> tuple[Options, Hidden, list[str]]:
    """The options to use, what of them stays sealed, and what was changed about the request."""
    hidden = Hidden(
        Secret(asked.proxy.password),
        tuple((header.name, Secret(header.value)) for header in asked.extra_headers),
    )
    presence = _presence(asked)
    egress, wrong = _egress(asked.egress)
    password, username = asked.proxy.password, asked.proxy.username
    _, no_proxy = upstream.checked(asked.proxy.server, username, password, "options.proxy")
    wrong += [*presence.wrong(), *hidden.wrong(), *no_proxy, *_wrong_profile(asked.profile)]
    checked, warnings = checked_options(
        asked.viewport_width,
        asked.viewport_height,
        asked.locale,
        _span(asked, "max_life"),
        _span(asked, "idle_timeout"),
        _span(asked, "first_connect_timeout"),
        wrong,
    )
    complete = replace(
        checked,
        presence=presence,
        egress=egress,
        proxy_server=asked.proxy.server,
        proxy_username=username,
        profile_id=asked.profile.browser_profile_id,
        profile_version=asked.profile.version,
        save_profile=asked.profile.save,
    )
    return complete, hidden, warnings


def _span(asked: pb.SessionOptions, name: str) -> timedelta | None:
    return span(f"options.{name}", getattr(asked, name)) if asked.HasField(name) else None


def _presence(asked: pb.SessionOptions) -> Presence:
    place, seen = asked.geolocation, None
    if asked.HasField("geolocation"):
        accuracy = place.accuracy_m or DEFAULT_ACCURACY_M
        seen = Geolocation(place.latitude, place.longitude, accuracy)
    return Presence(
        time_zone=asked.time_zone,
        user_agent=asked.user_agent,
        geolocation=seen,
        header_names=tuple(header.name for header in asked.extra_headers),
        block_types=tuple(asked.block.types),
        block_urls=tuple(asked.block.urls),
    )


def _egress(asked: settings_pb2.EgressPolicy) -> tuple[Egress, list[tuple[str, str]]]:
    allow, wrong_allow = policy.checked("options.egress.allow", asked.allow)
    deny, wrong_deny = policy.checked("options.egress.deny", asked.deny)
    return Egress(allow, deny), [*wrong_allow, *wrong_deny]


def _wrong_profile(asked: settings_pb2.ProfileUse) -> list[tuple[str, str]]:
    field, profile_id = "options.profile", asked.browser_profile_id
    if not profile_id and (asked.version or asked.save):
        return [(f"{field}.browser_profile_id", "must be set")]
    if profile_id and not profile_id.startswith("bp_"):
        return [(f"{field}.browser_profile_id", 'must be an id such as "bp_…"')]
    return [(f"{field}.version", "must not be negative")] if asked.version < 0 else []


def queue_timeout(
    request: pb.CreateSessionRequest, longest_here_s: float
) -> tuple[float, list[str]]:
    """How long a new session waits for its place, and what was changed about that."""
    asked = USUAL_QUEUE_S
    if request.HasField("queue_timeout"):
        asked = span("queue_timeout", request.queue_timeout).total_seconds()
    if asked <= 0:
        raise errors.Invalid("queue_timeout", "must be longer than nothing")
    longest = LONGEST_QUEUE_S if request.return_at_once else longest_here_s
    if asked <= longest or not request.HasField("queue_timeout"):
        return min(asked, longest), []
    return longest, [f"queue_timeout was shortened to the longest allowed, {longest:.0f} s"]


def reuse_key(asked: settings_pb2.ReusePolicy) -> str:
    """What the session is found by; empty for one that nobody else uses."""
    if asked.mode in (settings_pb2.REUSE_MODE_UNSPECIFIED, settings_pb2.REUSE_MODE_NEW):
        if asked.key:
            raise errors.Invalid("reuse.mode", "must be set with a key")
        return ""
    if asked.mode not in REUSE_MODES:
        raise errors.Invalid("reuse.mode", "is not a mode")
    if not 0 < len(asked.key) <= LONGEST_KEY or not asked.key.isprintable():
        raise errors.Invalid("reuse.key", f"must have 1 to {LONGEST_KEY} printable characters")
    return f"{REUSE_MODES[asked.mode]}:{asked.key}"


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
    message.first_connect_timeout.FromTimedelta(stored.first_connect_timeout)
    _show_presence(message, stored.presence)
    message.egress.allow.extend(stored.egress.allow)
    message.egress.deny.extend(stored.egress.deny)
    if stored.proxy_server:
        message.proxy.server, message.proxy.username = stored.proxy_server, stored.proxy_username
    if stored.profile_id:
        message.profile.browser_profile_id = stored.profile_id
        message.profile.version, message.profile.save = stored.profile_version, stored.save_profile
    return message


def _show_presence(message: pb.SessionOptions, stored: Presence) -> None:
    message.time_zone, message.user_agent = stored.time_zone, stored.user_agent
    place = stored.geolocation
    if place is not None:
        shown = {"latitude": place.latitude, "longitude": place.longitude}
        message.geolocation.MergeFrom(
            settings_pb2.Geolocation(**shown, accuracy_m=place.accuracy_m)
        )
    for name in stored.header_names:
        message.extra_headers.add(name=name)
    message.block.types.extend(stored.block_types)
    message.block.urls.extend(stored.block_urls)
