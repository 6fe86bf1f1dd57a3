"""The rules of challenges, windows and identifiers."""

from datetime import UTC, datetime, timedelta

import pytest

from libs import errors
from services.totp.domain import (
    OPEN,
    TRANSITIONS,
    Challenge,
    State,
    normalised_identifier,
    opening_times,
    sources_of,
    window_at,
)

NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)


def test_closed_states_lead_nowhere_but_a_refused_code_to_the_next() -> None:
    assert set(OPEN) == {State.WAITING, State.AVAILABLE}
    assert not TRANSITIONS[State.EXPIRED] | TRANSITIONS[State.CANCELED]
    assert sources_of(State.WAITING) == [State.CLAIMED]
    assert set(TRANSITIONS) == set(State)
    assert sources_of(State.CLAIMED) == [State.AVAILABLE]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Jo@Example.TEST ", "jo@example.test"),
        ("Jo Doe <jo@example.test>", "jo@example.test"),
        ("+1 (555) 010-9999", "+15550109999"),
        ("0015550109999", "+15550109999"),
        ("０３ 1234 5678", "0312345678"),
        ("Team Inbox", "team inbox"),
        ("", ""),
    ],
)
def test_identifiers_have_one_spelling(text: str, expected: str) -> None:
    assert normalised_identifier("identifier", text) == expected


def test_an_identifier_holds_no_control_characters() -> None:
    with pytest.raises(errors.Invalid, match="control"):
        normalised_identifier("identifier", "a\nb")


def test_a_window_is_fresh_until_its_last_seconds() -> None:
    assert window_at(NOW + timedelta(seconds=24.9), 30).fresh
    stale = window_at(NOW + timedelta(seconds=25.1), 30)
    assert not stale.fresh
    assert stale.ends_at == NOW + timedelta(seconds=30)
    assert window_at(stale.ends_at, 30).step == stale.step + 1
    assert window_at(NOW + timedelta(seconds=1.9), 3).fresh


def test_codes_count_from_a_little_before_the_challenge() -> None:
    assert opening_times(NOW, None, None)[0] == NOW - timedelta(minutes=1)
    early = opening_times(NOW, NOW - timedelta(hours=2), timedelta(seconds=5))
    assert early == (NOW - timedelta(minutes=10), NOW + timedelta(seconds=5))
    for timeout in (timedelta(), timedelta(hours=2)):
        with pytest.raises(errors.Invalid, match="timeout"):
            opening_times(NOW, None, timeout)


def test_an_overdue_challenge_is_seen_as_expired_before_its_timer_fires() -> None:
    challenge = Challenge(
        challenge_id="chal_1",
        organization_id="org_a",
        state=State.WAITING,
        request_id="",
        credential_id="",
        identifier="jo@example.test",
        run_id="",
        task_id="",
        not_before=NOW,
        created_at=NOW,
        expires_at=NOW + timedelta(seconds=1),
    )
    assert challenge.seen_at(NOW).state is State.WAITING
    assert challenge.seen_at(NOW + timedelta(seconds=1)).state is State.EXPIRED
