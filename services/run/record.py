"""What is written down about a run: its history, and what the other services are told of it.

The history holds every fact, whole: the stored rows can be rebuilt from it. What travels is thin.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from libs import db, history
from services.run import store
from services.run.domain import Outcome, Run, StepState

LARGEST_ANNOUNCED_OUTPUT = 16 * 1024


def note(tx: db.Tx, run_id: str, type_: str, data: dict[str, Any]) -> None:
    """An event of the run's history that nobody but its watchers needs."""
    history.append(tx, run_id, type_, data, source="run")


def announce(tx: db.Tx, run_id: str, type_: str, data: dict[str, Any]) -> None:
    """An event of the run's history that the other services are told of as well."""
    note(tx, run_id, type_, data)
    tx.publish(type_, data, run_id=run_id)


def end_step(tx: db.Tx, run: Run, name: str, state: StepState, why: str = "", **facts: Any) -> None:
    """A step ends, one way or another; `facts` are what it brought for the run."""
    store.set_step(tx, run.run_id, name, state, why)
    if facts:
        store.assign(tx, run.run_id, **facts)
    data: dict[str, Any] = {"step": name, **facts}
    if (began := run.step(name).started_at) is not None:
        data["duration_ms"] = round((tx.now - began).total_seconds() * 1000)
    if why:
        data["message"] = why
    verb = "finished" if state is StepState.COMPLETED else state
    note(tx, run.run_id, f"saga.step_{verb}", data)


def end_run(tx: db.Tx, run: Run, outcome: Outcome, detail: str) -> None:
    """The run ends: its row, its last event with the whole output, and the announcement."""
    store.finish(tx, run.run_id, outcome, detail)
    if run.session is not None:
        store.forget_wish(tx, run.run_id)
    told = finished_data(run, outcome, detail, tx.now)
    kept = {key: value for key, value in told.items() if key != "output_omitted"}
    if outcome.output is not None:
        kept["output"] = outcome.output
    note(tx, run.run_id, "run.finished", kept)
    tx.publish("run.finished", told, run_id=run.run_id)


def finished_data(run: Run, outcome: Outcome, detail: str, now: datetime) -> dict[str, Any]:
    """What others are told about the end of a run; an output too large for that stays here."""
    data: dict[str, Any] = {
        "state": str(outcome.state),
        "title": run.title,
        "duration_ms": round((now - run.created_at).total_seconds() * 1000),
        "browser_session_id": run.browser_session_id,
        "needs_browser": run.needs_browser,
    }
    if run.workflow_id:
        data |= {"workflow_id": run.workflow_id, "workflow_version": run.workflow_version}
    if outcome.output is not None:
        fits = len(orjson.dumps(outcome.output)) <= LARGEST_ANNOUNCED_OUTPUT
        data |= {"output": outcome.output} if fits else {"output_omitted": True}
    if outcome.failure is not None:
        data["failure"] = outcome.failure.as_dict()
    if detail:
        data["detail"] = detail
    return data
