"""A run as its history tells it: a pure fold of events. The stored rows must be the same.

What each event says about the run is written here once more, apart from the code that changes the
rows, so that the two check each other. Events that others report are part of the history but change
nothing in the run, except the end of its workflow run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from libs.history import Entry
from services.run.domain import (
    SEND_WEBHOOKS,
    Failure,
    Outcome,
    Run,
    RunState,
    Step,
    StepState,
    fresh_steps,
)

OWN = "run"


class Unfounded(Exception):
    """A history that does not begin with the run's creation tells nothing."""


def rebuilt(entries: Iterable[Entry]) -> Run:
    """The run after all of its events, in their order."""
    run: Run | None = None
    for entry in entries:
        run = advanced(run, entry)
    if run is None:
        raise Unfounded("the history is empty")
    return run


def advanced(run: Run | None, entry: Entry) -> Run:
    """The run after one more event."""
    if run is None:
        if (entry.source, entry.type) != (OWN, "run.created"):
            raise Unfounded(f"the history begins with {entry.type}, not with run.created")
        return replace(_created(entry), last_sequence=entry.sequence)
    step = _HANDLERS.get((entry.source, entry.type))
    return replace(step(run, entry) if step else run, last_sequence=entry.sequence)


def creation_facts(run: Run) -> dict[str, Any]:
    """What run.created says: all that makes the run, in names that watchers know from its proto."""
    return {
        "organization_id": run.organization_id,
        "title": run.title,
        "workflow_id": run.workflow_id,
        "workflow_version": run.workflow_version,
        "workflow_run_id": run.workflow_run_id,
        "needs_browser": run.needs_browser,
        "requested_session_id": run.requested_session_id,
        "session": run.session,
        "parameters": run.parameters,
        "labels": run.labels,
        "expires_at": run.expires_at.isoformat(),
        "request_id": run.request_id,
        "traceparent": run.traceparent,
        "idempotency_key": run.idempotency_key,
        "request_hash": run.request_hash,
    }


def _created(entry: Entry) -> Run:
    facts = dict(entry.data)
    facts["expires_at"] = datetime.fromisoformat(facts["expires_at"])
    return Run(
        run_id=entry.stream_id,
        state=RunState.CREATED,
        browser_session_id="",
        created_at=entry.occurred_at,
        steps=fresh_steps(),
        **facts,
    )


def _queued(run: Run, _entry: Entry) -> Run:
    return replace(run, state=RunState.QUEUED)


def _started(run: Run, entry: Entry) -> Run:
    return replace(run, state=RunState.RUNNING, started_at=entry.occurred_at)


def _cancel_requested(run: Run, entry: Entry) -> Run:
    return replace(run, cancel_reason=entry.data["reason"])


def _pause_requested(run: Run, _entry: Entry) -> Run:
    return replace(run, pause_requested=True)


def _paused(run: Run, _entry: Entry) -> Run:
    return replace(run, state=RunState.PAUSED)


def _resumed(run: Run, _entry: Entry) -> Run:
    goes_on = RunState.RUNNING if run.state is RunState.PAUSED else run.state
    return replace(run, state=goes_on, pause_requested=False)


def _turned_back(run: Run, entry: Entry) -> Run:
    return replace(run, ending=Outcome.from_dict(entry.data))


def _workflow_ended(run: Run, entry: Entry) -> Run:
    return replace(run, workflow_result=entry.data)


def _finished(run: Run, entry: Entry) -> Run:
    # The event is in the outbox of the commit it speaks of: that is all send_webhooks does.
    announced = Step(
        SEND_WEBHOOKS, StepState.COMPLETED, entry.occurred_at, entry.occurred_at, message=""
    )
    return replace(
        _with_step(run, announced),
        state=RunState(entry.data["state"]),
        ended_at=entry.occurred_at,
        output=entry.data.get("output"),
        failure=Failure.from_dict(entry.data.get("failure")),
        detail=entry.data.get("detail", ""),
    )


def _step_into(state: StepState) -> Callable[[Run, Entry], Run]:
    def change(run: Run, entry: Entry) -> Run:
        step = run.step(entry.data["step"])
        message = entry.data.get("message", "")
        if state is StepState.RUNNING:
            changed = replace(step, state=state, started_at=entry.occurred_at, message=message)
        else:
            changed = replace(step, state=state, ended_at=entry.occurred_at, message=message)
            if state is StepState.COMPLETED and step.started_at is None:
                # It began and ended in one commit, which one event tells.
                changed = replace(changed, started_at=entry.occurred_at)
        session_id = entry.data.get("browser_session_id", run.browser_session_id)
        return replace(_with_step(run, changed), browser_session_id=session_id)

    return change


def _with_step(run: Run, changed: Step) -> Run:
    steps = tuple(changed if step.name == changed.name else step for step in run.steps)
    return replace(run, steps=steps)


_HANDLERS: dict[tuple[str, str], Callable[[Run, Entry], Run]] = {
    (OWN, "run.queued"): _queued,
    (OWN, "run.started"): _started,
    (OWN, "run.cancel_requested"): _cancel_requested,
    (OWN, "run.pause_requested"): _pause_requested,
    (OWN, "run.paused"): _paused,
    (OWN, "run.resumed"): _resumed,
    (OWN, "run.finished"): _finished,
    (OWN, "saga.turned_back"): _turned_back,
    (OWN, "saga.step_started"): _step_into(StepState.RUNNING),
    (OWN, "saga.step_finished"): _step_into(StepState.COMPLETED),
    (OWN, "saga.step_skipped"): _step_into(StepState.SKIPPED),
    (OWN, "saga.step_failed"): _step_into(StepState.FAILED),
    (OWN, "saga.step_compensated"): _step_into(StepState.COMPENSATED),
    (OWN, "saga.step_compensation_failed"): _step_into(StepState.COMPENSATION_FAILED),
    ("workflow", "workflow_run.finished"): _workflow_ended,
}
