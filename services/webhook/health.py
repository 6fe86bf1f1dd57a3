"""How an endpoint is doing: when it gets a pause, and when it is given up. Pure.

The breaker's figures are Convoy's: it opens when 70 % of at least ten attempts of the last five
minutes failed, stays open for 30 s, longer each time, and then lets one message try.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.webhook.domain import Attempt, State, Verdict

OPENING_SHARE = 0.7
FEWEST_ATTEMPTS = 10
WINDOW_S = 300.0
_PART_S = 30.0
PAUSE_S = 30.0
LONGEST_PAUSE_S = 600.0
FEWEST_FAILURES = 20

BREAKER, BUSY, ORDER = "breaker", "busy", "order"


@dataclass(frozen=True)
class Health:
    """What the row of an endpoint says about its last attempts."""

    failing_since: datetime | None = None
    failures: int = 0
    # How often the breaker has opened since the last success.
    trips: int = 0
    paused_until: datetime | None = None
    pause_reason: str = ""

    @classmethod
    def of(cls, row: object) -> Health:
        """The health that a row of the endpoints holds."""
        return cls(**{name: getattr(row, name) for name in cls.__dataclass_fields__})

    def is_hopeless(self, now: datetime, patience: timedelta) -> bool:
        """Whether nothing has succeeded for so long and so many attempts that it is given up."""
        return (
            self.failing_since is not None
            and self.failures >= FEWEST_FAILURES
            and now - self.failing_since >= patience
        )


@dataclass(frozen=True)
class Circumstances:
    """What else counts when an attempt is judged."""

    now: datetime
    ordered: bool
    tripping: bool
    # The breaker had opened this often when the message was taken up.
    trips_before: int
    scale: float


def after_success(health: Health) -> Health:
    """A success ends the failing; a time that the endpoint asked for goes on."""
    if health.pause_reason == BREAKER:
        return Health()
    return replace(health, failing_since=None, failures=0, trips=0)


def after_failure(health: Health, attempt: Attempt, verdict: Verdict, how: Circumstances) -> Health:
    """A failure counts, and may give the endpoint a pause; the longest one holds."""
    # Messages that were under way when it opened are no trial of whether it may close again.
    on_trial = 0 < how.trips_before == health.trips
    opens = how.tripping or on_trial
    trips = health.trips + 1 if opens else health.trips
    pauses = []
    if attempt.retry_after_s > 0:
        pauses.append((attempt.retry_after_s, BUSY))
    if opens:
        pause_s = min(PAUSE_S * 2 ** min(trips - 1, 10), LONGEST_PAUSE_S)
        pauses.append((pause_s * how.scale, BREAKER))
    if how.ordered and verdict.state is State.PENDING:
        pauses.append((verdict.delay_s, ORDER))
    until, reason = health.paused_until, health.pause_reason
    for pause_s, why in pauses:
        end = how.now + timedelta(seconds=pause_s)
        if until is None or end > until:
            until, reason = end, why
    return Health(health.failing_since or how.now, health.failures + 1, trips, until, reason)


class Breakers:
    """What this replica has seen of each endpoint in the last minutes."""

    def __init__(self) -> None:
        self._parts: defaultdict[str, deque[list[float]]] = defaultdict(deque)

    def record(self, endpoint_id: str, succeeded: bool, now_s: float) -> bool:
        """Counts an attempt; True when the breaker is to open, which also forgets the counts."""
        parts = self._parts[endpoint_id]
        if not parts or now_s - parts[-1][0] >= _PART_S:
            parts.append([now_s, 0, 0])
        parts[-1][1] += 1
        if succeeded:
            return False
        parts[-1][2] += 1
        while parts[0][0] < now_s - WINDOW_S:
            parts.popleft()
        attempts = sum(part[1] for part in parts)
        failures = sum(part[2] for part in parts)
        if attempts < FEWEST_ATTEMPTS or failures < OPENING_SHARE * attempts:
            return False
        del self._parts[endpoint_id]
        return True

    def forget(self, endpoint_ids: set[str]) -> None:
        """Keeps only the counts of these endpoints' neighbours."""
        for endpoint_id in endpoint_ids:
            self._parts.pop(endpoint_id, None)
