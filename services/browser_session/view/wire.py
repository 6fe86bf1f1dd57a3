"""Between what is seen and done from outside and the contract: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson
from google.protobuf import duration_pb2

from libs import errors
from libs.wire import as_dict, seconds, span, timestamp, value
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session.domain import Kind
from services.browser_session.view.control import LONGEST_HOLDER
from services.browser_session.view.gestures import MOST_AT_ONCE, Gesture, parse
from services.browser_session.view.links import Link
from services.browser_session.view.page import Content
from services.browser_session.view.recorder import KINDS
from services.browser_session.view.rights import Right
from services.browser_session.view.screencast import MOST_PER_S, Picture
from services.browser_session.view.store import Control
from services.browser_session.view.usage import Usage

RIGHTS = {pb.RIGHT_DRIVE: Right.DRIVE, pb.RIGHT_VIEW: Right.VIEW}
LONGEST_HTML_BYTES = 2 * 1024 * 1024
LONGEST_TEXT_BYTES = 1024 * 1024
LARGEST_VALUE_BYTES = 1024 * 1024
LONGEST_EXPRESSION = 100_000
LONGEST_TIMEOUT_S = 55.0
USUAL_PER_S = 10


def right(number: int) -> Right:
    """The right that is asked for."""
    found = RIGHTS.get(number)  # type: ignore[call-overload]
    if found is None:
        raise errors.Invalid("right", "must be RIGHT_DRIVE or RIGHT_VIEW")
    return found


def link(public_url: str, made: Link, token: str) -> pb.CreateLinkResponse:
    """A link as addresses; without a host when nobody said where the edge is."""
    public_url = public_url.rstrip("/")
    cdp = f"{public_url}/v1/browser_sessions/{made.subject}/cdp?token={token}"
    return pb.CreateLinkResponse(
        cdp_url=f"ws{cdp.removeprefix('http')}" if public_url else cdp,
        live_url=live_url(public_url, made.subject, token),
        expire_time=timestamp(made.expires_at),
        link_id=made.link_id,
    )


def artifact_link(public_url: str, made: Link, token: str) -> pb.CreateArtifactLinkResponse:
    """A file's link as an address."""
    return pb.CreateArtifactLinkResponse(
        url=f"{public_url.rstrip('/')}/v1/artifacts/{made.subject}/download?token={token}",
        expire_time=timestamp(made.expires_at),
    )


def live_url(public_url: str, session_id: str, token: str) -> str:
    """The page where a link's session is seen.

    The token stands behind the #: browsers keep that to themselves, so it is in nobody's log.
    """
    return f"{public_url.rstrip('/')}/live#{session_id}.{token}"


def ttl(request: Any) -> timedelta | None:
    """How long something is asked to last; None when the request does not say."""
    return span("ttl", request.ttl) if request.HasField("ttl") else None


def holder(text: str) -> str:
    """Who takes a wheel, as others are told."""
    if len(text) > LONGEST_HOLDER:
        raise errors.Invalid("holder", f"must be at most {LONGEST_HOLDER} characters")
    return text.strip()


def gestures(events: Sequence[pb.InputEvent]) -> list[Gesture]:
    """What is to be done; Invalid names the event that makes no sense."""
    if not 0 < len(events) <= MOST_AT_ONCE:
        raise errors.Invalid("events", f"must be 1 to {MOST_AT_ONCE}")
    return [parse(f"events[{place}]", as_dict(one)) for place, one in enumerate(events)]


def per_second(number: int) -> int:
    """How many pictures a second are asked for."""
    if number < 0:
        raise errors.Invalid("max_per_second", "must not be negative")
    return min(number or USUAL_PER_S, MOST_PER_S)


def recorded(kinds: Sequence[str]) -> frozenset[Kind]:
    """What is to be recorded; Invalid names what nobody can record."""
    for place, kind in enumerate(kinds):
        if kind not in KINDS:
            raise errors.Invalid(f"kinds[{place}]", f"must be one of {', '.join(KINDS)}")
    return frozenset(map(Kind, kinds or KINDS))


def picture(found: Picture) -> pb.WatchSessionResponse:
    """What a session looks like."""
    return pb.WatchSessionResponse(
        sequence=found.number,
        jpeg=found.jpeg,
        url=found.url,
        title=found.title,
        width=found.width,
        height=found.height,
    )


def timeout_s(request: Any, usual_s: float) -> float:
    """How long a call may take."""
    given: duration_pb2.Duration = request.timeout
    if not request.HasField("timeout"):
        return usual_s
    return seconds("timeout", given, most=LONGEST_TIMEOUT_S)


def expression(text: str) -> str:
    """A JavaScript expression that is not empty and not endless."""
    if not text.strip() or len(text) > LONGEST_EXPRESSION:
        raise errors.Invalid("expression", f"is required, at most {LONGEST_EXPRESSION} characters")
    return text


def evaluated(found: Any) -> pb.EvaluateResponse:
    """The value of an expression; FailedPrecondition when there is too much of it."""
    if len(orjson.dumps(found)) > LARGEST_VALUE_BYTES:
        raise errors.FailedPrecondition(
            "the value is larger than 1 MiB as JSON", reason="VALUE_TOO_LARGE"
        )
    return pb.EvaluateResponse(value=value(found))


def content(found: Content) -> pb.GetContentResponse:
    """What a page holds, cut to what a message holds."""
    html, is_html_cut = _cut(found.html, LONGEST_HTML_BYTES)
    text, is_text_cut = _cut(found.text, LONGEST_TEXT_BYTES)
    return pb.GetContentResponse(
        url=found.url,
        title=found.title,
        html=html,
        text=text,
        truncated=is_html_cut or is_text_cut,
    )


def _cut(text: str, most_bytes: int) -> tuple[str, bool]:
    encoded = text.encode(errors="replace")
    return encoded[:most_bytes].decode(errors="ignore"), len(encoded) > most_bytes


def control(found: Control | None) -> pb.Control | None:
    """Who holds the wheel."""
    if found is None:
        return None
    return pb.Control(
        control_id=found.control_id,
        holder=found.holder,
        take_time=timestamp(found.taken_at),
        expire_time=timestamp(found.until),
        agent_rests=found.is_settled,
    )


def usage(found: Usage) -> pb.Usage:
    """What went through the gateway."""
    return pb.Usage(
        commands=found.commands,
        refused_commands=found.refused,
        bytes_in=found.bytes_in,
        bytes_out=found.bytes_out,
    )
