from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs import errors
from services.browser_session.domain import (
    LIVE,
    TRANSITIONS,
    Options,
    Reason,
    Session,
    State,
    Waiting,
    check_usable,
    checked_options,
    content_type_of,
    may_recover,
    next_in_line,
    overdue,
    place_in_line,
    safe_name,
    sources,
)
from services.browser_session.pressure import Gate, Marks, Reading

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
READY = Session(
    session_id="bs_1",
    organization_id="org_a",
    state=State.READY,
    options=Options(),
    warnings=(),
    created_at=NOON,
    owner="one",
    ready_at=NOON,
    active_at=NOON,
)


def test_what_has_ended_never_moves_again() -> None:
    ended = {state for state, following in TRANSITIONS.items() if not following}
    assert ended == {State.CLOSED, State.FAILED, State.CRASHED, State.TIMED_OUT, State.DRAINING}
    assert not ended & LIVE
    assert sources(State.OCCUPIED) == {State.PROVISIONING, State.READY}


@pytest.mark.parametrize(
    ("session", "after", "reason"),
    [
        (READY, timedelta(minutes=4), None),
        (READY, timedelta(minutes=5), Reason.FIRST_CONNECT),
        (replace(READY, active_at=NOON + timedelta(seconds=1)), timedelta(minutes=9), None),
        (replace(READY, active_at=NOON + timedelta(seconds=1)), timedelta(hours=0.5), Reason.IDLE),
        (replace(READY, active_at=NOON + timedelta(minutes=5)), timedelta(minutes=10), None),
        (replace(READY, state=State.OCCUPIED), timedelta(minutes=59), None),
        (replace(READY, state=State.OCCUPIED), timedelta(hours=1), Reason.MAX_LIFE),
        (replace(READY, state=State.CLOSED), timedelta(days=1), None),
    ],
)
def test_when_a_session_is_overdue(
    session: Session, after: timedelta, reason: Reason | None
) -> None:
    assert overdue(session, NOON + after) is reason


def test_only_the_run_that_has_it_may_use_it() -> None:
    check_usable(READY)
    mine = replace(READY, state=State.OCCUPIED, run_id="run_1")
    check_usable(mine, "run_1")
    for session, run_id, reason in (
        (mine, "run_2", "SESSION_NOT_YOURS"),
        (READY, "run_1", "SESSION_NOT_YOURS"),
        (replace(READY, state=State.CRASHED), "", "SESSION_ENDED"),
        (replace(READY, state=State.QUEUED), "", "SESSION_NOT_READY"),
    ):
        with pytest.raises(errors.FailedPrecondition) as refused:
            check_usable(session, run_id)
        assert refused.value.reason == reason


def test_limits_are_applied_with_a_word_about_it() -> None:
    options, warnings = checked_options(0, 0, "", timedelta(days=2), timedelta(hours=3))
    assert options.max_life == timedelta(hours=4)
    assert options.idle_timeout == timedelta(hours=1)
    assert len(warnings) == 2
    assert checked_options(0, 0, "", None, None) == (Options(), [])
    with pytest.raises(errors.Invalid) as wrong:
        checked_options(-1, 99_999, "a b", timedelta(0), None)
    assert len(wrong.value.violations) == 4


def test_the_organisation_with_least_goes_first_then_the_oldest() -> None:
    def at(second: int, organization: str) -> Waiting:
        return Waiting(f"bs_{second}", organization, NOON + timedelta(seconds=second))

    waiting = [at(3, "a"), at(1, "a"), at(2, "a"), at(9, "b")]
    assert next_in_line(waiting, {}) == "bs_1"
    assert next_in_line(waiting, {"a": 1}) == "bs_9"
    assert next_in_line(waiting, {"a": 1, "b": 1}) == "bs_1"
    assert next_in_line([], {}) == ""


@pytest.mark.parametrize(
    ("suggested", "shown"),
    [
        ("report.csv", "report.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ("a\x00b\n.txt", "a_b_.txt"),
        ("\u202egpj.exe", "gpj.exe"),
        ("..", "download"),
        ("", "download"),
        ("e\u0301.pdf", "\u00e9.pdf"),
        ("x" * 300 + ".tar", "x" * 146 + ".tar"),
    ],
)
def test_names_are_made_harmless(suggested: str, shown: str) -> None:
    assert safe_name(suggested, "download") == shown


@given(st.text())
def test_no_name_is_a_path(suggested: str) -> None:
    name = safe_name(suggested, "download")
    assert 0 < len(name) <= 150
    assert "/" not in name
    assert name not in {".", ".."}
    assert name == safe_name(name, "download")


def test_the_media_type_follows_the_name() -> None:
    assert content_type_of("a.csv") == "text/csv"
    assert content_type_of("a.tar.gz") == "application/gzip"
    assert content_type_of("noending") == "application/octet-stream"


@pytest.mark.parametrize(
    ("session", "after", "expected"),
    [
        (READY, timedelta(0), True),
        (replace(READY, state=State.PROVISIONING, generation=2), timedelta(0), True),
        (replace(READY, generation=3), timedelta(0), False),
        (replace(READY, state=State.QUEUED, ready_at=None), timedelta(0), False),
        (replace(READY, state=State.CLOSED), timedelta(0), False),
        (READY, timedelta(hours=2), False),
    ],
)
def test_which_sessions_get_another_browser(
    session: Session, after: timedelta, expected: bool
) -> None:
    assert may_recover(session, NOON + after, most=2) is expected


def test_a_place_in_the_line_counts_those_who_are_served_before() -> None:
    line = [
        Waiting("a1", "org_a", NOON),
        Waiting("a2", "org_a", NOON + timedelta(seconds=1)),
        Waiting("b1", "org_b", NOON + timedelta(seconds=2)),
    ]
    places = {one.session_id: place_in_line(line, {}, one.session_id) for one in line}
    assert places == {"a1": 1, "b1": 2, "a2": 3}
    assert place_in_line(line, {}, "gone") == 0


def test_the_gate_closes_under_pressure_and_opens_only_well_below_it() -> None:
    gate = Gate(Marks())
    calm, tight, easier = Reading(50, 10), Reading(5, 10), Reading(10, 10)
    busy, less_busy = Reading(50, 99), Reading(50, 90)
    assert [gate.take(one) for one in (calm, tight, easier, calm)] == [True, False, False, True]
    assert [gate.take(one) for one in (busy, less_busy, calm)] == [False, False, True]
