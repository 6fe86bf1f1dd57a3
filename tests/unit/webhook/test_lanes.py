"""Turns between organisations and endpoints, and the limit of messages a second."""

from datetime import UTC, datetime, timedelta

import pytest

from services.webhook.lanes import Bucket, Lane, allot

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_organisations_take_turns_however_many_endpoints_they_have() -> None:
    noisy = [Lane(f"n{number}", "noisy", 8) for number in range(50)]
    found = allot([*noisy, Lane("q", "quiet", 8)], 10, {}, 100)
    assert found.shares["q"] == 5
    assert sum(found.shares.values()) == 10
    assert found.exhausted


def test_within_an_organisation_lanes_take_turns() -> None:
    lanes = [Lane("a", "org", 8), Lane("b", "org", 1), Lane("c", "org", 8)]
    assert allot(lanes, 7, {}, 100).shares == {"a": 3, "b": 1, "c": 3}


def test_nobody_gets_more_than_there_is_room_for() -> None:
    lanes = [Lane("a", "org", 2), Lane("b", "org", 0), Lane("c", "other", -3)]
    found = allot(lanes, 100, {}, 100)
    assert found.shares == {"a": 2}
    assert not found.exhausted


def test_an_organisation_keeps_within_its_half_of_the_places() -> None:
    lanes = [Lane("a", "org", 8), Lane("b", "org", 8), Lane("c", "other", 8)]
    assert allot(lanes, 100, {"org": 2}, 5).shares == {"a": 2, "b": 1, "c": 5}
    assert allot(lanes, 100, {"org": 9}, 5).shares == {"c": 5}


@pytest.mark.parametrize("rate", [0.5, 1.0, 7.0, 100.0, 1000.0])
def test_a_limit_holds_over_any_time(rate: float) -> None:
    bucket, sent = Bucket(0.0, None), 0
    for step in range(1000):
        bucket = bucket.filled(rate, NOW + timedelta(seconds=step / 100))
        count = int(bucket.tokens)
        bucket, sent = bucket.taken(count), sent + count
    assert rate * 10 * 0.9 - 1 <= sent <= rate * 10 + max(1.0, rate * 0.1)


def test_an_empty_bucket_says_how_long_to_wait() -> None:
    bucket = Bucket(0.0, NOW)
    assert bucket.wait_s(4.0) == 0.25
    assert bucket.filled(4.0, NOW + timedelta(seconds=0.25)).wait_s(4.0) == 0
    # A clock that was set back takes nothing away.
    assert bucket.filled(4.0, NOW - timedelta(hours=1)).tokens == 0
