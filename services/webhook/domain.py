"""The rules of webhooks: which event types there are, when to try again, what an answer means.

Pure: no I/O, no clock, no chance of its own.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from libs import errors

# What an endpoint can be told, by the service that says it. A service that publishes a new type
# for the outside world adds it here.
EVENT_TYPES: Mapping[str, tuple[str, ...]] = {
    "run": (
        "run.created",
        "run.queued",
        "run.started",
        "run.finished",
        "saga.step_started",
        "saga.step_finished",
        "saga.step_compensated",
        "alert.raised",
    ),
    "workflow": ("workflow_run.finished", "block.started", "block.finished", "alert.raised"),
    "task": ("task.finished", "alert.raised"),
    "totp": ("totp.required", "totp.available", "alert.raised"),
    "browser_session": (
        "browser_session.closed",
        "browser_session.crashed",
        "browser_session.recovered",
        "artifact.created",
        "alert.raised",
    ),
    # Of its own, only what is no consequence of a delivery: nothing may tell about itself for ever.
    "webhook": ("webhook.endpoint.disabled", "webhook.endpoint.secret_rotated", "alert.raised"),
    "gateway": ("alert.raised",),
}
TEST_EVENT = "webhook.test"
KNOWN_TYPES = frozenset(kind for kinds in EVENT_TYPES.values() for kind in kinds)
EVERYTHING = "*"
_SOME = ".*"
KNOWN_GROUPS = frozenset(
    kind[:dot] + _SOME for kind in KNOWN_TYPES for dot in range(len(kind)) if kind[dot] == "."
)
MOST_EVENT_TYPES = 50
LONGEST_DESCRIPTION = 500
MOST_IN_FLIGHT = 64
FASTEST_PER_S = 1000.0

MOST_HEADERS = 20
LONGEST_HEADER = 4096
_HEADER_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")
_HEADER_VALUE = re.compile(r"^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$")
# What the message itself or the connection says.
_RESERVED = re.compile(
    r"^(webhook-.*|x-podium-.*|content-.*|proxy-.*|host|user-agent|connection|keep-alive|te|trailer"
    r"|transfer-encoding|upgrade|expect|date|accept-encoding|via|forwarded|x-forwarded-.*)$"
)

OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=7)

# The retry schedule of Standard Webhooks: how long to wait before each try, the first at once.
SCHEDULE_S = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
JITTER = 0.2
LONGEST_RETRY_AFTER_S = 36000.0
EXCERPT_BYTES = 4096

GONE = 410
BUSY_STATUSES = (429, 503)
# By this header of its answer a receiver gives a message up: no further attempt is made.
ABORT_HEADER = "webhook-delivery"
ABORT_VALUE = "abort-message"
REFUSED_FOR_GOOD = "refused_for_good"


class State(StrEnum):
    """Where a delivery is. One that is pending and leased is being sent right now."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Announcement:
    """An event as endpoints are told it; `body` is exactly what is signed and sent."""

    event_id: str
    type: str
    organization_id: str
    run_id: str
    workflow_id: str
    data: Mapping[str, Any]
    body: str

    @classmethod
    def of(cls, row: Any) -> Announcement:
        """The event that was kept as this row."""
        data = json.loads(row.body)["data"]
        whose = row.organization_id, row.run_id, row.workflow_id
        return cls(row.event_id, row.event_type, *whose, data, row.body)

    def of_workflow(self, workflow_id: str) -> Announcement:
        """The same event, of a run of this workflow unless it names one itself."""
        if self.workflow_id or not workflow_id:
            return self
        return replace(self, workflow_id=workflow_id)


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed delivery: what to send, where to, and the lease it is sent under."""

    delivery_id: str
    fence: int
    round: int
    tries: int
    organization_id: str
    event_id: str
    event_type: str
    run_id: str
    body: str
    endpoint: Any

    @property
    def endpoint_id(self) -> str:
        """Where it goes."""
        return self.endpoint.endpoint_id


@dataclass(frozen=True)
class Attempt:
    """How one attempt went; no `error_class` means the endpoint accepted the message."""

    started_at: datetime
    duration_ms: int = 0
    http_status: int = 0
    error_class: str = ""
    error_message: str = ""
    response_excerpt: str = ""
    retry_after_s: float = 0.0
    first_byte_ms: int = 0


@dataclass(frozen=True)
class Verdict:
    """What becomes of a delivery after an attempt; `delay_s` is set while it is pending."""

    state: State
    delay_s: float = 0.0
    endpoint_gone: bool = False


def check_event_types(patterns: Sequence[str]) -> list[str]:
    """The patterns without repeats; Invalid names each that matches no known type."""
    if len(patterns) > MOST_EVENT_TYPES:
        raise errors.Invalid("event_types", f"must be at most {MOST_EVENT_TYPES} entries")
    wrong = [
        (f"event_types[{index}]", _why_unknown(pattern))
        for index, pattern in enumerate(patterns)
        if not _is_known(pattern)
    ]
    if wrong:
        raise errors.Invalid.many(wrong)
    return list(dict.fromkeys(patterns)) or [EVERYTHING]


def _is_known(pattern: str) -> bool:
    return pattern == EVERYTHING or pattern in KNOWN_TYPES or pattern in KNOWN_GROUPS


def _why_unknown(pattern: str) -> str:
    choices = sorted(KNOWN_TYPES) + sorted(KNOWN_GROUPS)
    close = difflib.get_close_matches(pattern[:80], choices, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{pattern[:80]!r} is not an event type{hint}"


def check_description(description: str) -> str:
    """The description, when it is not too long."""
    if len(description) > LONGEST_DESCRIPTION:
        raise errors.Invalid("description", f"must be at most {LONGEST_DESCRIPTION} characters")
    return description


def wants(patterns: Iterable[str], event_type: str) -> bool:
    """Whether an endpoint with these patterns is told of events of this type."""
    return any(
        pattern in (EVERYTHING, event_type)
        or (pattern.endswith(_SOME) and event_type.startswith(pattern[:-1]))
        for pattern in patterns
    )


def check_pace(rate_limit_per_s: float, max_in_flight: int) -> dict[str, Any]:
    """How fast an endpoint may be told; Invalid outside of what is sensible."""
    if not 0 <= rate_limit_per_s <= FASTEST_PER_S:
        raise errors.Invalid("rate_limit_per_s", f"must be from 0 to {FASTEST_PER_S:g}")
    if 0 < rate_limit_per_s < 0.001:
        raise errors.Invalid("rate_limit_per_s", "must be 0 or at least 0.001")
    if not 0 <= max_in_flight <= MOST_IN_FLIGHT:
        raise errors.Invalid("max_in_flight", f"must be from 0 to {MOST_IN_FLIGHT}")
    return {"rate_limit_per_s": rate_limit_per_s, "max_in_flight": max_in_flight}


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers by lower-case names; Invalid names each that may not be sent, and no value."""
    if len(headers) > MOST_HEADERS:
        raise errors.Invalid("headers", f"must be at most {MOST_HEADERS}")
    wrong = [
        (f"headers[{name[:100]!r}]", why)
        for name, value in sorted(headers.items())
        if (why := _why_not_sent(name, value))
    ]
    if wrong:
        raise errors.Invalid.many(wrong)
    kept = {name.lower(): value for name, value in headers.items()}
    if len(kept) < len(headers):
        raise errors.Invalid("headers", "names one header twice")
    return kept


def _why_not_sent(name: str, value: str) -> str:
    if not _HEADER_NAME.match(name):
        return "is not the name of a header"
    if _RESERVED.match(name.lower()):
        return "is reserved"
    if len(value) > LONGEST_HEADER:
        return f"must be at most {LONGEST_HEADER} characters"
    return "" if _HEADER_VALUE.match(value) else "must be printable ASCII and not empty"


def check_overlap(asked: timedelta | None) -> timedelta:
    """How long the secret before a new one goes on signing."""
    overlap = OVERLAP if asked is None else asked
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise errors.Invalid("overlap", f"must be from 0 to {LONGEST_OVERLAP.days} days")
    return overlap


def retry_after_s(header: str | None, now: datetime) -> float:
    """How long a Retry-After header asks to wait, in seconds or as a date; 0 when it is unclear."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:12])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return 0.0
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def judge_answer(status: int, headers: Mapping[str, str], now: datetime) -> tuple[str, str, float]:
    """Error class, sentence and requested wait for an answer; no class for success."""
    if 200 <= status < 300:
        return "", "", 0.0
    if headers.get(ABORT_HEADER, "").strip().lower() == ABORT_VALUE:
        return REFUSED_FOR_GOOD, f"the endpoint answered {status} and gave the message up", 0.0
    wait_s = retry_after_s(headers.get("Retry-After"), now) if status in BUSY_STATUSES else 0.0
    note = "; redirects are not followed" if 300 <= status < 400 else ""
    return "http_status", f"the endpoint answered {status}{note}", wait_s


def verdict(attempt: Attempt, tries: int, chance: float, scale: float = 1.0) -> Verdict:
    """What follows from try number `tries` of a round.

    `chance` (0 to 1) is the jitter, which only ever adds: a receiver is never called earlier than
    the schedule says. `scale` shortens the schedule, not what the receiver asked for.
    """
    if not attempt.error_class:
        return Verdict(State.DELIVERED)
    if attempt.http_status == GONE:
        return Verdict(State.DEAD, endpoint_gone=True)
    if tries >= len(SCHEDULE_S) or attempt.error_class == REFUSED_FOR_GOOD:
        return Verdict(State.DEAD)
    planned_s = SCHEDULE_S[tries] * scale * (1 + JITTER * chance)
    return Verdict(State.PENDING, max(planned_s, attempt.retry_after_s))


def excerpt(body: bytes) -> str:
    """The beginning of an answer as text that every store can keep."""
    text = body[:EXCERPT_BYTES].decode("utf-8", "replace").replace("\x00", "\ufffd")
    # A replacement character is longer than the byte that it stands for.
    return text.encode()[:EXCERPT_BYTES].decode("utf-8", "ignore")
