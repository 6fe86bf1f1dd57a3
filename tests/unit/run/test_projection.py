"""Folding a history, without a database: what each event does to the run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.history import Entry
from services.run import audit, projection
from services.run.domain import (
    ACQUIRE_BROWSER_SESSION,
    CREATE_WORKFLOW_RUN,
    SEND_WEBHOOKS,
    Run,
    RunState,
    StepState,
    fresh_steps,
    interruption,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
CREATED = Run(
    run_id="run_1",
    organization_id="org_a",
    state=RunState.CREATED,
    title="Orders",
    workflow_id="wf_1",
    workflow_version=3,
    workflow_run_id="wfr_1",
    needs_browser=True,
    requested_session_id="",
    browser_session_id="",
    parameters={"n": 1},
    labels={"team": "a"},
    created_at=T0,
    expires_at=T0 + timedelta(hours=1),
    steps=fresh_steps(),
)


def history(*events: tuple[str, dict[str, Any]]) -> list[Entry]:
    """A history that begins with the run's creation; one second between its events."""
    all_events = [("run.created", projection.creation_facts(CREATED)), *events]
    return [
        Entry("run_1", n, type_, "run", T0 + timedelta(seconds=n - 1), data, "")
        for n, (type_, data) in enumerate(all_events, start=1)
    ]


def after(*events: tuple[str, dict[str, Any]]) -> Run:
    return projection.rebuilt(history(*events))


def test_the_creation_tells_the_whole_run():
    run = after()
    assert run == projection.replace(CREATED, last_sequence=1)


def test_a_step_that_began_and_ended_in_one_commit_has_both_times():
    step = after(("saga.step_finished", {"step": CREATE_WORKFLOW_RUN})).step(CREATE_WORKFLOW_RUN)
    assert step.state is StepState.COMPLETED
    assert step.started_at == step.ended_at == T0 + timedelta(seconds=1)


def test_a_step_brings_the_session():
    begun = ("saga.step_started", {"step": ACQUIRE_BROWSER_SESSION})
    ended = {"step": ACQUIRE_BROWSER_SESSION, "browser_session_id": "bs_1"}
    run = after(begun, ("saga.step_finished", ended))
    assert run.browser_session_id == "bs_1"
    step = run.step(ACQUIRE_BROWSER_SESSION)
    assert (step.ended_at or T0) - (step.started_at or T0) == timedelta(seconds=1)


def test_the_end_is_also_the_announcement():
    run = after(("run.queued", {}), ("run.finished", {"state": "completed", "output": {"a": 1}}))
    assert (run.state, run.output) == (RunState.COMPLETED, {"a": 1})
    assert run.step(SEND_WEBHOOKS).state is StepState.COMPLETED


def test_a_pause_taken_back_leaves_the_state_alone():
    run = after(("run.queued", {}), ("run.pause_requested", {}), ("run.resumed", {}))
    assert (run.state, run.pause_requested) == (RunState.QUEUED, False)
    run = after(("run.started", {}), ("run.pause_requested", {}), ("run.paused", {}))
    assert (run.state, run.pause_requested) == (RunState.PAUSED, True)


def test_what_others_report_changes_nothing_but_the_end_of_the_workflow_run():
    entries = history()
    for type_, data in (
        ("run.finished", {"state": "failed"}),
        ("run.cancel_requested", {"reason": "x"}),
        ("workflow_run.finished", {"state": "completed"}),
    ):
        entries.append(
            Entry("run_1", len(entries) + 1, type_, "workflow", T0, data, ""),
        )
    run = projection.rebuilt(entries)
    assert (run.state, run.cancel_reason) == (RunState.CREATED, None)
    assert run.workflow_result == {"state": "completed"}


def test_a_history_without_its_beginning_tells_nothing():
    for entries in ([], history(("run.queued", {}))[1:]):
        with pytest.raises(projection.Unfounded):
            projection.rebuilt(entries)


def test_the_first_difference_is_named():
    stored = {"run": {"b": 2, "a": {"x": [1, {"y": None}]}}, "steps": []}
    told = {"run": {"a": {"x": [1, {"y": 0}]}, "b": 3}, "steps": []}
    found = audit.first_difference(stored, told)
    assert found == audit.Difference("run.a.x[1].y", "null", "0")
    assert audit.first_difference(stored, stored) is None
    # 1 and 1.0 are not the same bytes, and neither are True and 1.
    assert audit.first_difference([1, 1.0, True], [1, 1, True])


def test_a_deadline_counts_until_the_workflow_run_has_ended():
    late = CREATED.expires_at
    assert interruption(CREATED, late - timedelta(microseconds=1)) is None
    outcome = interruption(CREATED, late)
    assert outcome
    assert outcome.state is RunState.TIMED_OUT
    ended = projection.replace(CREATED, workflow_result={"state": "completed"})
    assert interruption(ended, late) is None
    canceled = projection.replace(ended, cancel_reason="")
    outcome = interruption(canceled, late)
    assert outcome
    assert outcome.state is RunState.CANCELED
