"""Breakers: what counts, when they open, and the one probe that closes them."""

from __future__ import annotations

import grpc
import pytest

from gateway.breakers import Breaker, Outcome, outcome_of
from libs import errors
from libs.clock import ManualClock

CODE = grpc.StatusCode


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def breaker(clock) -> Breaker:
    return Breaker("run", 5, 60.0, clock)


def opened(breaker: Breaker) -> None:
    for _ in range(5):
        breaker.admit().tell(Outcome.FAULT)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (CODE.UNAVAILABLE, Outcome.FAULT),
        (CODE.DEADLINE_EXCEEDED, Outcome.FAULT),
        (CODE.INTERNAL, Outcome.FAULT),
        (CODE.CANCELLED, Outcome.NEUTRAL),
        (CODE.RESOURCE_EXHAUSTED, Outcome.NEUTRAL),
        (CODE.NOT_FOUND, Outcome.ANSWERED),
        (CODE.INVALID_ARGUMENT, Outcome.ANSWERED),
        (CODE.PERMISSION_DENIED, Outcome.ANSWERED),
    ],
)
def test_only_the_upstreams_own_faults_count(code, outcome):
    assert outcome_of(code) is outcome


def test_a_caller_in_a_hurry_says_nothing_about_the_upstream():
    hurried = outcome_of(CODE.DEADLINE_EXCEEDED, caller_gave_enough_time=False)
    assert hurried is Outcome.NEUTRAL


def test_it_opens_at_the_threshold_and_says_when_to_come_back(breaker, clock):
    for _ in range(4):
        breaker.admit().tell(Outcome.FAULT)
    assert breaker.state == "closed"
    breaker.admit().tell(Outcome.FAULT)
    assert breaker.state == "open"
    clock.advance(20)
    with pytest.raises(errors.Unavailable) as refused:
        breaker.admit()
    assert refused.value.reason == "BREAKER_OPEN"
    assert refused.value.retry_after_s == 40.0


def test_an_answer_in_between_starts_the_count_again(breaker):
    for outcome in [Outcome.FAULT] * 4 + [Outcome.ANSWERED] + [Outcome.FAULT] * 4:
        breaker.admit().tell(outcome)
    assert breaker.state == "closed"


def test_cancellations_neither_count_nor_reset(breaker):
    for outcome in [Outcome.FAULT] * 4 + [Outcome.NEUTRAL] * 50:
        breaker.admit().tell(outcome)
    assert (breaker.state, breaker.failures) == ("closed", 4)
    breaker.admit().tell(Outcome.FAULT)
    assert breaker.state == "open"


def test_half_open_lets_exactly_one_probe_through(breaker, clock):
    opened(breaker)
    clock.advance(60)
    probe = breaker.admit()
    for _ in range(20):
        with pytest.raises(errors.Unavailable):
            breaker.admit()
    probe.tell(Outcome.ANSWERED)
    assert breaker.state == "closed"
    breaker.admit()


def test_a_failed_probe_opens_it_for_another_full_while(breaker, clock):
    opened(breaker)
    clock.advance(60)
    breaker.admit().tell(Outcome.FAULT)
    assert (breaker.state, breaker.retry_after_s) == ("open", 60.0)


def test_a_cancelled_probe_leaves_the_place_to_the_next(breaker, clock):
    opened(breaker)
    clock.advance(60)
    breaker.admit().tell(Outcome.NEUTRAL)
    assert breaker.state == "half-open"
    breaker.admit().tell(Outcome.ANSWERED)
    assert breaker.state == "closed"


def test_calls_that_come_home_late_do_not_decide(breaker, clock):
    late = [breaker.admit() for _ in range(3)]
    opened(breaker)
    late[0].tell(Outcome.FAULT)
    clock.advance(60)
    breaker.admit()
    late[1].tell(Outcome.ANSWERED)
    late[2].tell(Outcome.FAULT)
    assert breaker.state == "half-open"
