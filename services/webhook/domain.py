"""The rules of webhooks: which event types there are, when to try again, what an answer means.

Pure: no I/O, no clock, no chance of its own.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

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
    "webhook": ("alert.raised",),
    "gateway": ("alert.raised",),
}
TEST_EVENT = "webhook.test"
KNOWN_TYPES = frozenset(kind for kinds in EVENT_TYPES.values() for kind in kinds)
KNOWN_SUBJECTS = frozenset(kind.partition(".")[0] for kind in KNOWN_TYPES)
EVERYTHING = "*"
MOST_EVENT_TYPES = 50
LONGEST_DESCRIPTION = 500

# The retry schedule of Standard Webhooks: how long to wait before each try, the first at once.
SCHEDULE_S = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
JITTER = 0.2
LONGEST_RETRY_AFTER_S = 36000.0
EXCERPT_BYTES = 4096

GONE = 410
BUSY_STATUSES = (429, 503)


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
    body: str


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
    subject, _, rest = pattern.partition(".")
    return (
        pattern == EVERYTHING
        or pattern in KNOWN_TYPES
        or (rest == EVERYTHING and subject in KNOWN_SUBJECTS)
    )


def _why_unknown(pattern: str) -> str:
    choices = sorted(KNOWN_TYPES) + sorted(f"{subject}.*" for subject in KNOWN_SUBJECTS)
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
    subject = event_type.partition(".")[0]
    return not {EVERYTHING, event_type, f"{subject}.*"}.isdisjoint(patterns)


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


def judge_answer(status: int, retry_after: str | None, now: datetime) -> tuple[str, str, float]:
    """Error class, sentence and requested wait for an HTTP status; no class for success."""
    if 200 <= status < 300:
        return "", "", 0.0
    wait_s = retry_after_s(retry_after, now) if status in BUSY_STATUSES else 0.0
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
    if tries >= len(SCHEDULE_S):
        return Verdict(State.DEAD)
    planned_s = SCHEDULE_S[tries] * scale * (1 + JITTER * chance)
    return Verdict(State.PENDING, max(planned_s, attempt.retry_after_s))


def excerpt(body: bytes) -> str:
    """The beginning of an answer as text that every store can keep."""
    text = body[:EXCERPT_BYTES].decode("utf-8", "replace").replace("\x00", "\ufffd")
    # A replacement character is longer than the byte that it stands for.
    return text.encode()[:EXCERPT_BYTES].decode("utf-8", "ignore")


@dataclass
class Lanes:
    """Who may have how many deliveries under way, so that nobody waits for a slow neighbour."""

    per_endpoint: int
    per_organization: int
    endpoints: Counter[str] = field(default_factory=Counter)
    organizations: Counter[str] = field(default_factory=Counter)

    def occupy(self, endpoint_id: str, organization_id: str, count: int = 1) -> None:
        """Counts deliveries as under way."""
        self.endpoints[endpoint_id] += count
        self.organizations[organization_id] += count

    def admit(self, endpoint_id: str, organization_id: str) -> bool:
        """Takes a place for one more delivery, if both lanes have one."""
        if self.endpoints[endpoint_id] >= self.per_endpoint:
            return False
        if self.organizations[organization_id] >= self.per_organization:
            return False
        self.occupy(endpoint_id, organization_id)
        return True

    @property
    def full_endpoints(self) -> list[str]:
        """Endpoints without a free place."""
        return [name for name, count in self.endpoints.items() if count >= self.per_endpoint]

    @property
    def full_organizations(self) -> list[str]:
        """Organisations without a free place."""
        full = self.per_organization
        return [name for name, count in self.organizations.items() if count >= full]
