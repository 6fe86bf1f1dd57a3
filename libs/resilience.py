"""The error policy: classify what went wrong, then retry by the strategy of its class.

Transient errors back off exponentially (3 retries, 1 s base, 60 s cap), rate limits linearly (5),
network errors exponentially (2); configuration and business errors are answered at
once, system errors raise an alert. Retries of one upstream have a budget, so that they never make
up more than a fifth of its calls (beyond a small reserve). One layer retries: Envoy repeats what
never reached an upstream, this policy repeats a step of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from libs import errors, ids
from libs.clock import Clock
from libs.errors import Category

T = TypeVar("T")
# A server may ask for any wait; nobody is kept longer than this before the next try.
LONGEST_HINT_S = 60.0
# Patient retries beyond the budget are this far apart: gentle, and soon after the upstream is back.
UNBUDGETED_S = 2.0
__all__ = ["Budget", "Category", "Strategy", "budget_of", "classify", "retrying"]


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


class Budget:
    """How many retries an upstream may be given: a share of its calls, and a small reserve.

    Retries beyond that would keep an upstream down that is coming back. Each call earns `share` of
    a retry; the reserve fills up slowly by itself, so that a quiet caller may retry too.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        share: float = 0.2,
        reserve: float = 10.0,
        per_second: float = 0.5,
    ) -> None:
        self._clock = clock
        self._share = share
        self._most = reserve
        self._per_second = per_second
        self._tokens = reserve
        self._filled_at = clock.monotonic()

    def earn(self) -> None:
        """Notes a call."""
        self._tokens = min(self._most, self._left() + self._share)

    def spend(self) -> bool:
        """Takes a retry from the budget; False when there is none."""
        if self._left() < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _left(self) -> float:
        now = self._clock.monotonic()
        self._tokens = min(self._most, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        return self._tokens


_budgets: dict[str, Budget] = {}


def budget_of(upstream: str) -> Budget:
    """This process's one budget for an upstream."""
    if upstream not in _budgets:
        _budgets[upstream] = Budget(Clock())
    return _budgets[upstream]


def classify(error: BaseException) -> Category:
    """The class of an error; anything unknown is a bug of the system's."""
    if isinstance(error, errors.PodiumError):
        return error.category
    if isinstance(error, OSError | TimeoutError):
        return Category.NETWORK
    return Category.SYSTEM


async def retrying(
    work: Callable[[], Awaitable[T]],
    *,
    patience_s: float | None = None,
    strategies: dict[Category, Strategy] | None = None,
    upstream: str = "",
    budget: Budget | None = None,
    clock: Clock | None = None,
) -> T:
    """Carries `work` out until it succeeds or its error's strategy is exhausted.

    With `patience_s`, transient and network errors are retried for that long however often: for a
    step whose callee may be restarting. A server's RetryInfo is honoured as the least wait. With an
    `upstream` its budget is kept: without patience the error is raised when the budget is spent,
    with patience the retries become rarer.
    """
    policy = _Policy(strategies or STRATEGIES, patience_s, budget)
    if budget is None and upstream:
        policy.budget = budget_of(upstream)
    if policy.budget is not None:
        policy.budget.earn()
    attempts = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Exception)),
        stop=policy.stop,
        wait=policy.wait_s,
        sleep=(clock or Clock()).sleep,
        reraise=True,
    )

    async def attempt() -> T:
        return await work()

    return await attempts(attempt)


@dataclass
class _Policy:
    """One call's retries: when to give up, and how long to wait."""

    strategies: dict[Category, Strategy]
    patience_s: float | None
    budget: Budget | None

    def stop(self, state: tenacity.RetryCallState) -> bool:
        """Whether the last error is the caller's now."""
        category = classify(_error_of(state))
        if self._is_patient(category):
            return (state.seconds_since_start or 0.0) >= (self.patience_s or 0.0)
        if state.attempt_number > self.strategies[category].retries:
            return True
        return self.budget is not None and not self.budget.spend()

    def wait_s(self, state: tenacity.RetryCallState) -> float:
        """Before the next try: as the strategy says, but no sooner than the server asked for."""
        error = _error_of(state)
        category = classify(error)
        delay = self.strategies[category].delay_s(state.attempt_number)
        if self.patience_s is not None:
            # A replica is back within a second or two: look often rather than rarely.
            delay = min(delay, 0.1 * 2 ** min(state.attempt_number, 4))
        if self.budget is not None and self._is_patient(category) and not self.budget.spend():
            delay = max(delay, UNBUDGETED_S)
        hinted = getattr(error, "retry_after_s", None) or 0.0
        return max(delay, min(hinted, LONGEST_HINT_S)) * (1 + 0.2 * ids.fraction())

    def _is_patient(self, category: Category) -> bool:
        patient = (Category.TRANSIENT, Category.NETWORK)
        return self.patience_s is not None and category in patient


def _error_of(state: tenacity.RetryCallState) -> BaseException:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert error is not None
    return error
