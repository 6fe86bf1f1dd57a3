"""Who may be sent to how much: each endpoint has a lane of its own, and organisations take turns.

Pure: no I/O, no clock. See Shreedhar and Varghese, "Efficient Fair Queuing using Deficit Round
Robin" (1995); here every message costs the same, so that plain turns are fair.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

IN_FLIGHT = 8
# How much of a second's worth an endpoint with a limit may be sent in one go.
BURST_S = 0.1


@dataclass(frozen=True)
class Lane:
    """An endpoint with something due, and how many messages more it may be sent now."""

    endpoint_id: str
    organization_id: str
    room: int


@dataclass(frozen=True)
class Allotment:
    """How many messages each lane may take; `exhausted` when there were fewer than wanted."""

    shares: Mapping[str, int]
    exhausted: bool


def allot(
    lanes: Iterable[Lane], slots: int, under_way: Mapping[str, int], per_organization: int
) -> Allotment:
    """Shares `slots` out in turns: organisation by organisation, and lane by lane within each.

    `under_way` counts by organisation; none gets beyond `per_organization`.
    """
    queues: defaultdict[str, deque[str]] = defaultdict(deque)
    left: dict[str, int] = {}
    for lane in lanes:
        if lane.room > 0:
            left[lane.endpoint_id] = lane.room
            queues[lane.organization_id].append(lane.endpoint_id)
    free = {name: per_organization - under_way.get(name, 0) for name in queues}
    turns = deque(name for name in queues if free[name] > 0)
    shares: Counter[str] = Counter()
    while slots > 0 and turns:
        organization = turns.popleft()
        queue = queues[organization]
        endpoint = queue.popleft()
        shares[endpoint] += 1
        left[endpoint] -= 1
        free[organization] -= 1
        slots -= 1
        if left[endpoint]:
            queue.append(endpoint)
        if queue and free[organization] > 0:
            turns.append(organization)
    return Allotment(shares, exhausted=slots == 0)


@dataclass(frozen=True)
class Bucket:
    """How many messages an endpoint with a rate limit may be sent at a moment."""

    tokens: float
    at: datetime | None

    def filled(self, rate_per_s: float, now: datetime) -> Bucket:
        """The bucket as it is now."""
        most = max(1.0, rate_per_s * BURST_S)
        if self.at is None:
            return Bucket(most, now)
        passed_s = max((now - self.at).total_seconds(), 0.0)
        return Bucket(min(most, self.tokens + passed_s * rate_per_s), now)

    def taken(self, count: int) -> Bucket:
        """The bucket after so many messages."""
        return Bucket(self.tokens - count, self.at)

    def wait_s(self, rate_per_s: float) -> float:
        """How long it is until the next message may go."""
        return max(0.0, (1.0 - self.tokens) / rate_per_s)
