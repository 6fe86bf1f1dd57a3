"""When an endpoint gets a pause, and when it is given up."""

from datetime import UTC, datetime, timedelta
from typing import Any

from services.webhook import health
from services.webhook.domain import Attempt, State, Verdict
from services.webhook.health import Breakers, Circumstances, Health

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AGAIN = Verdict(State.PENDING, 5.0)


def failed(before: Health, *, wait_s: float = 0.0, verdict: Verdict = AGAIN, **how: Any) -> Health:
    told = {"now": NOW, "ordered": False, "tripping": False, "trips_before": 0, "scale": 1.0}
    attempt = Attempt(NOW, error_class="http_status", retry_after_s=wait_s)
    return health.after_failure(before, attempt, verdict, Circumstances(**{**told, **how}))


def paused_s(found: Health) -> float:
    assert found.paused_until is not None
    return (found.paused_until - NOW).total_seconds()


def test_failures_are_counted_from_the_first_and_a_success_ends_them() -> None:
    once = failed(Health())
    twice = failed(once, now=NOW + timedelta(hours=1))
    assert (twice.failing_since, twice.failures, twice.paused_until) == (NOW, 2, None)
    assert health.after_success(twice) == Health()


def test_the_breaker_pauses_longer_each_time() -> None:
    found, pauses = Health(), []
    for trips in range(7):
        found = failed(Health(trips=trips), tripping=trips == 0, trips_before=trips)
        pauses.append(paused_s(found))
        assert found.pause_reason == health.BREAKER
    assert pauses == [30, 60, 120, 240, 480, 600, 600]


def test_what_was_under_way_when_it_opened_is_no_trial() -> None:
    opened = failed(Health(), tripping=True)
    assert failed(opened, trips_before=0).trips == 1
    assert failed(opened, trips_before=1).trips == 2
    assert health.after_success(opened) == Health()


def test_a_time_that_was_asked_for_outlives_a_success() -> None:
    busy = failed(Health(), wait_s=60.0)
    assert (paused_s(busy), busy.pause_reason) == (60, health.BUSY)
    after = health.after_success(busy)
    assert (paused_s(after), after.failing_since) == (60, None)
    assert paused_s(failed(busy, wait_s=5.0)) == 60


def test_in_order_the_whole_lane_waits_for_its_first() -> None:
    waiting = failed(Health(), ordered=True)
    assert (paused_s(waiting), waiting.pause_reason) == (5, health.ORDER)
    assert failed(Health(), ordered=True, verdict=Verdict(State.DEAD)).paused_until is None


def test_the_breaker_opens_at_seventy_per_cent_of_ten() -> None:
    breakers = Breakers()
    for _ in range(3):
        assert not breakers.record("a", True, 0.0)
    opened = [breakers.record("a", False, 1.0) for _ in range(7)]
    assert opened == [False] * 6 + [True]
    # It begins anew, and each endpoint for itself.
    assert not breakers.record("a", False, 2.0)
    assert not breakers.record("b", False, 2.0)


def test_the_breaker_forgets_after_five_minutes() -> None:
    breakers = Breakers()
    for _ in range(9):
        assert not breakers.record("a", False, 0.0)
    assert not breakers.record("a", False, 331.0)
    few = Breakers()
    for number in range(100):
        few.record("a", number % 10 < 4, number * 0.1)
    assert not few.record("a", False, 11.0)


def test_an_endpoint_is_given_up_after_three_days_and_twenty_tries() -> None:
    patience = timedelta(hours=72)
    long_ago = NOW - patience
    assert Health(failing_since=long_ago, failures=20).is_hopeless(NOW, patience)
    assert not Health(failing_since=long_ago, failures=19).is_hopeless(NOW, patience)
    recent = long_ago + timedelta(seconds=1)
    assert not Health(failing_since=recent, failures=500).is_hopeless(NOW, patience)
    assert not Health().is_hopeless(NOW, patience)
