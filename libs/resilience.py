"""The error policy: classify what went wrong, then retry by the strategy of its class.

Transient errors back off exponentially (3 retries, 1 s base, 60 s cap), rate limits linearly (5),
network errors exponentially (2); configuration and business errors are answered at
once, system errors raise an alert. One layer retries: Envoy repeats what never reached an upstream,
this policy repeats a step of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import tenacity

from libs import errors, ids
from libs.clock import Clock

T = TypeVar("T")


class Category(StrEnum):
    """What kind of error it is, which decides what is done about it."""

    TRANSIENT = "transient"
    RATE_LIMIT = "rate_limit"
    NETWORK = "network"
    CONFIGURATION = "configuration"
    BUSINESS = "business"
    SYSTEM = "system"


@dataclass(frozen=True)
class Strategy:
    """How often to try again, and how long to wait before it."""

    retries: int
    base_s: float = 0.0
    cap_s: float = 60.0
    linear: bool = False

    def delay_s(self, retry: int) -> float:
        """Wait before retry 1, 2, 3 …, without jitter."""
        grown = self.base_s * (retry if self.linear else 2 ** (retry - 1))
        return min(grown, self.cap_s)


STRATEGIES = {
    Category.TRANSIENT: Strategy(retries=3, base_s=1.0),
    Category.RATE_LIMIT: Strategy(retries=5, base_s=1.0, linear=True),
    Category.NETWORK: Strategy(retries=2, base_s=1.0),
    Category.CONFIGURATION: Strategy(retries=0),
    Category.BUSINESS: Strategy(retries=0),
    Category.SYSTEM: Strategy(retries=0),
}
_CLASSES: tuple[tuple[type[BaseException], Category], ...] = (
    (errors.Unavailable, Category.TRANSIENT),
    (errors.Aborted, Category.TRANSIENT),
    (errors.DeadlineExceeded, Category.TRANSIENT),
    (errors.Exhausted, Category.RATE_LIMIT),
    (errors.Unauthenticated, Category.CONFIGURATION),
    (errors.PermissionDenied, Category.CONFIGURATION),
    (errors.Unimplemented, Category.CONFIGURATION),
    (errors.Internal, Category.SYSTEM),
    (errors.PodiumError, Category.BUSINESS),
    (OSError, Category.NETWORK),
    (TimeoutError, Category.NETWORK),
)


def classify(error: BaseException) -> Category:
    """The class of an error; anything unknown is a bug of the system's."""
    for kind, category in _CLASSES:
        if isinstance(error, kind):
            return category
    return Category.SYSTEM


async def retrying(
    work: Callable[[], Awaitable[T]],
    *,
    patience_s: float | None = None,
    strategies: dict[Category, Strategy] | None = None,
) -> T:
    """Carries `work` out until it succeeds or its error's strategy is exhausted.

    With `patience_s`, transient and network errors are retried for that long however often: for a
    step whose callee may be restarting. A server's RetryInfo is honoured as the least wait.
    """
    table = strategies or STRATEGIES

    def stop(state: tenacity.RetryCallState) -> bool:
        category = classify(_error_of(state))
        if patience_s is not None and category in (Category.TRANSIENT, Category.NETWORK):
            return (state.seconds_since_start or 0.0) >= patience_s
        return state.attempt_number > table[category].retries

    def wait(state: tenacity.RetryCallState) -> float:
        error = _error_of(state)
        delay = table[classify(error)].delay_s(state.attempt_number)
        if patience_s is not None:
            # A replica is back within a second or two: look often rather than rarely.
            delay = min(delay, 0.1 * 2 ** min(state.attempt_number, 4))
        hinted = getattr(error, "retry_after_s", None) or 0.0
        return max(delay, min(hinted, 60.0)) * (1 + 0.2 * ids.fraction())

    attempts = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Exception)),
        stop=stop,
        wait=wait,
        sleep=Clock().sleep,
        reraise=True,
    )

    async def attempt() -> T:
        return await work()

    return await attempts(attempt)


def _error_of(state: tenacity.RetryCallState) -> BaseException:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert error is not None
    return error
