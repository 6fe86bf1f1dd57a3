"""Workflow runs: the SQL on them.

Units are carried out one at a time among all replicas, so that a run which was read may be changed
by what was read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from libs import lease
from libs.db import Tx
from services.workflow.domain import Failure, RunState, WorkflowRun, may_become

from .schema import workflow_runs

# Workflow runs that want an engine now.
is_due = sa.and_(
    workflow_runs.c.state == RunState.RUNNING,
    sa.or_(workflow_runs.c.wake_at.is_(None), workflow_runs.c.wake_at <= lease.NOW),
)
_FREE = {"lease_owner": "", "lease_until": None}
_PAUSE_REQUESTED = sa.select(workflow_runs.c.pause_requested).where(
    workflow_runs.c.organization_id == sa.bindparam("organization_id"),
    workflow_runs.c.workflow_run_id == sa.bindparam("workflow_run_id"),
)
_CANCEL_REASONS = sa.select(workflow_runs.c.workflow_run_id, workflow_runs.c.cancel_reason).where(
    workflow_runs.c.workflow_run_id.in_(sa.bindparam("keys", expanding=True)),
    workflow_runs.c.cancel_reason.is_not(None),
)


def add_run(tx: Tx, run: WorkflowRun, now: datetime) -> None:
    """Writes a workflow run that is not started."""
    row = {
        "workflow_run_id": run.workflow_run_id,
        "organization_id": run.organization_id,
        "run_id": run.run_id,
        "workflow_id": run.workflow_id,
        "version": run.version,
        "document": run.document,
        "title": run.title,
        "state": run.state,
        "needs_browser": run.needs_browser,
        "parameters": run.parameters,
        "request_id": run.request_id,
        "traceparent": run.traceparent,
        "created_at": now,
    }
    tx.insert(workflow_runs, row)


def run_of(tx: Tx, organization_id: str, run_id: str) -> WorkflowRun | None:
    """The workflow run of a run."""
    row = tx.first(workflow_runs, organization_id=organization_id, run_id=run_id)
    return None if row is None else as_run(row)


def get_run(tx: Tx, organization_id: str, workflow_run_id: str) -> WorkflowRun | None:
    """One workflow run."""
    row = tx.first(workflow_runs, **_is(organization_id, workflow_run_id))
    return None if row is None else as_run(row)


def start_run(
    tx: Tx, organization_id: str, workflow_run_id: str, browser_session_id: str
) -> WorkflowRun | None:
    """Created → running; None when it was not in that state."""
    run = get_run(tx, organization_id, workflow_run_id)
    if run is None or run.state is not RunState.CREATED:
        return None
    session_id = browser_session_id
    return _change(tx, run, RunState.RUNNING, browser_session_id=session_id, started_at=tx.now)


def abandon_run(
    tx: Tx, organization_id: str, workflow_run_id: str, reason: str, failure: Failure
) -> WorkflowRun | None:
    """Created → canceled; None when it was not in that state."""
    run = get_run(tx, organization_id, workflow_run_id)
    if run is None or run.state is not RunState.CREATED:
        return None
    end = {"cancel_reason": reason, "failure": failure.as_dict(), "ended_at": tx.now}
    return _change(tx, run, RunState.CANCELED, **end)


def ask_to_cancel(tx: Tx, organization_id: str, workflow_run_id: str, reason: str) -> None:
    """Notes on a started workflow run that it is to stop, and wakes it if it rests."""
    run = get_run(tx, organization_id, workflow_run_id)
    if run is None or run.cancel_reason is not None:
        return
    if run.state in (RunState.RUNNING, RunState.PAUSED):
        awake = {"state": RunState.RUNNING, "wake_at": None, "paused_at": None}
        tx.update(workflow_runs, _key(run), cancel_reason=reason, **awake)


def ask_to_pause(tx: Tx, organization_id: str, workflow_run_id: str) -> bool:
    """Notes on a workflow run that it is to rest; False when it has ended, stops or is asked."""
    run = get_run(tx, organization_id, workflow_run_id)
    if run is None or run.cancel_reason is not None or run.pause_requested:
        return False
    if run.state not in (RunState.CREATED, RunState.RUNNING):
        return False
    return tx.update(workflow_runs, _key(run), pause_requested=True) > 0


def heed(tx: Tx, organization_id: str, workflow_run_id: str, as_of: int) -> bool:
    """Notes what a pause or resume had seen; False when one that had seen more came before it."""
    row = tx.first(workflow_runs, **_is(organization_id, workflow_run_id))
    if not as_of or row is None:
        return True
    if row.steered_as_of > as_of:
        return False
    tx.update(workflow_runs, _is(organization_id, workflow_run_id), steered_as_of=as_of)
    return True


def pause_asleep(tx: Tx, organization_id: str, workflow_run_id: str) -> WorkflowRun | None:
    """Running, but with nothing to do before a moment → paused; None when that is not so.

    What it waits for is recorded with its block, so the timer is set again when it goes on.
    """
    row = tx.first(workflow_runs, **_is(organization_id, workflow_run_id))
    if row is None or not row.pause_requested or row.cancel_reason is not None:
        return None
    if row.lease_until is not None or row.wake_at is None or row.wake_at <= tx.now:
        return None
    return _change(tx, as_run(row), RunState.PAUSED, paused_at=tx.now, wake_at=None)


def pause_run(tx: Tx, known: WorkflowRun) -> bool:
    """Running → paused, giving the lease back; False when that is not, or no longer, wanted."""
    run = get_run(tx, known.organization_id, known.workflow_run_id)
    if run is None or not run.pause_requested or run.cancel_reason is not None:
        return False
    return _change(tx, run, RunState.PAUSED, paused_at=tx.now, **_FREE) is not None


def take_pause_back(tx: Tx, organization_id: str, workflow_run_id: str) -> None:
    """A pause that has not come into effect does not come."""
    tx.update(workflow_runs, _is(organization_id, workflow_run_id), pause_requested=False)


def resume_run(tx: Tx, organization_id: str, workflow_run_id: str) -> timedelta | None:
    """Paused → running; how long the pause was, or None when there was none."""
    row = tx.first(workflow_runs, **_is(organization_id, workflow_run_id))
    if row is None or row.state != RunState.PAUSED:
        return None
    _change(tx, as_run(row), RunState.RUNNING, pause_requested=False, paused_at=None)
    return tx.now - (row.paused_at or tx.now)


def end_run(
    tx: Tx,
    known: WorkflowRun,
    state: RunState,
    output: dict[str, Any] | None,
    failure: Failure | None,
) -> bool:
    """Running → a terminal state, giving the lease back; False when it was not running."""
    run = get_run(tx, known.organization_id, known.workflow_run_id)
    if run is None:
        return False
    why = failure.as_dict() if failure else None
    end = {"output": output, "failure": why, "ended_at": tx.now}
    return _change(tx, run, state, **end, **_FREE) is not None


def rest(tx: Tx, run: WorkflowRun, until: datetime) -> None:
    """Gives the lease back until a moment, or not at all when a cancel came in between."""
    present = get_run(tx, run.organization_id, run.workflow_run_id)
    canceled = present is None or present.cancel_reason is not None
    tx.update(workflow_runs, _key(run), wake_at=None if canceled else until, **_FREE)


def is_to_pause(tx: Tx, run: WorkflowRun) -> bool:
    """Whether a workflow run is to rest before its next block begins."""
    return bool(tx.execute(_PAUSE_REQUESTED, _key(run)).scalar())


def cancel_reasons(tx: Tx, keys: Iterable[str]) -> dict[str, str]:
    """Those of some workflow runs that are to stop, and why."""
    rows = tx.execute(_CANCEL_REASONS, {"keys": list(keys)})
    return {row.workflow_run_id: row.cancel_reason for row in rows}


def _is(organization_id: str, workflow_run_id: str) -> dict[str, str]:
    return {"organization_id": organization_id, "workflow_run_id": workflow_run_id}


def _key(run: WorkflowRun) -> dict[str, str]:
    return _is(run.organization_id, run.workflow_run_id)


def _change(tx: Tx, run: WorkflowRun, state: RunState, **changes: Any) -> WorkflowRun | None:
    """Moves a run that was read in this unit, in which nobody else writes."""
    if run.state not in may_become(state):
        return None
    tx.update(workflow_runs, _key(run), state=state, **changes)
    return get_run(tx, run.organization_id, run.workflow_run_id)


def as_run(row: Any) -> WorkflowRun:
    """A row as the domain knows it."""
    return WorkflowRun(
        workflow_run_id=row.workflow_run_id,
        organization_id=row.organization_id,
        run_id=row.run_id,
        workflow_id=row.workflow_id,
        version=row.version,
        document=row.document,
        title=row.title,
        state=RunState(row.state),
        needs_browser=row.needs_browser,
        parameters=row.parameters,
        browser_session_id=row.browser_session_id,
        request_id=row.request_id,
        traceparent=row.traceparent,
        cancel_reason=row.cancel_reason,
        pause_requested=row.pause_requested,
        output=row.output,
        failure=Failure.of(row.failure),
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
