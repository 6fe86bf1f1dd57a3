"""Retries: as many as the error's class allows, no sooner than asked, no more than the budget."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs import errors, resilience
from libs.clock import Clock, ManualClock
from libs.errors import Category
from libs.resilience import Budget, Strategy

QUICK = {category: Strategy(s.retries, 0.0) for category, s in resilience.STRATEGIES.items()}


class Hurried(Clock):
    """A clock on which waiting takes no time, and which notes the waits."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.passed += seconds
        await asyncio.sleep(0)


class Upstream:
    """Fails a number of times."""

    def __init__(self, error: Exception, failures: int = 10**9) -> None:
        self.calls = 0
        self._error = error
        self._failures = failures

    async def call(self) -> str:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return "done"


def test_every_word_has_a_category() -> None:
    for word in errors.WORDS.values():
        assert isinstance(word.category, Category)
        error = errors.from_status(errors.to_status(errors._bare(word.code, "x")))
        assert error.category is word.category is resilience.classify(error)


async def test_an_outage_is_not_answered_with_a_storm_of_retries() -> None:
    budget = Budget(Hurried())
    down = Upstream(errors.Unavailable("down"))
    for _ in range(1000):
        with pytest.raises(errors.Unavailable):
            await resilience.retrying(down.call, strategies=QUICK, budget=budget)
    assert 1000 < down.calls <= 1000 * 1.2 + 10


async def test_a_single_call_has_all_its_retries() -> None:
    flaky = Upstream(errors.Unavailable("down"), failures=3)
    assert await resilience.retrying(flaky.call, strategies=QUICK, budget=Budget(Hurried()))


async def test_without_an_upstream_there_is_no_budget() -> None:
    for _ in range(20):
        down = Upstream(errors.Unavailable("down"))
        with pytest.raises(errors.Unavailable):
            await resilience.retrying(down.call, strategies=QUICK)
        assert down.calls == 4


def test_each_upstream_has_one_budget() -> None:
    assert resilience.budget_of("workflow") is resilience.budget_of("workflow")
    assert resilience.budget_of("workflow") is not resilience.budget_of("totp")


async def test_patience_slows_down_instead_of_giving_up() -> None:
    clock = Hurried()
    budget = Budget(clock, reserve=3.0)
    down = Upstream(errors.Unavailable("restarting"), failures=8)
    assert await resilience.retrying(
        down.call, patience_s=60, strategies=QUICK, budget=budget, clock=clock
    )
    assert all(wait < 0.1 for wait in clock.waits[:3])
    assert sum(wait >= resilience.UNBUDGETED_S for wait in clock.waits[3:]) >= 2


async def test_the_servers_hint_is_the_least_wait() -> None:
    clock = Hurried()
    busy = Upstream(errors.Exhausted("full", retry_after_s=7.0), failures=2)
    assert await resilience.retrying(busy.call, clock=clock)
    assert all(7.0 <= wait <= 7.0 * 1.2 for wait in clock.waits)


async def test_a_hint_of_a_year_is_not_taken_literally() -> None:
    clock = Hurried()
    busy = Upstream(errors.Exhausted("full", retry_after_s=3e7), failures=1)
    assert await resilience.retrying(busy.call, clock=clock)
    assert clock.waits[0] <= resilience.LONGEST_HINT_S * 1.2


@given(st.lists(st.sampled_from(["call", "retry", "second"]), max_size=400))
def test_retries_never_exceed_their_share(steps: list[str]) -> None:
    clock = ManualClock()
    budget = Budget(clock)
    calls = retries = seconds = 0
    for step in steps:
        if step == "call":
            calls += 1
            budget.earn()
        elif step == "second":
            seconds += 1
            clock.advance(1)
        else:
            retries += budget.spend()
    assert retries <= calls * 0.2 + seconds * 0.5 + 10 + 1e-6
