"""Workflow runs: the SQL on them, every change of state a compare-and-set."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from libs.db import Timestamp, Tx
from services.workflow.domain import Failure, RunState, WorkflowRun, may_become

from .schema import workflow_runs

_HEED = (
    sa.update(workflow_runs)
    .where(
        workflow_runs.c.organization_id == sa.bindparam("organization"),
        workflow_runs.c.workflow_run_id == sa.bindparam("workflow_run"),
        workflow_runs.c.steered_as_of <= sa.bindparam("as_of"),
    )
    .values(steered_as_of=sa.bindparam("as_of"))
)


def add_run(tx: Tx, run: WorkflowRun, now: datetime) -> None:
    """Writes a workflow run that is not started."""
    tx.execute(
        sa.insert(workflow_runs).values(
            workflow_run_id=run.workflow_run_id,
            organization_id=run.organization_id,
            run_id=run.run_id,
            workflow_id=run.workflow_id,
            version=run.version,
            document=run.document,
            title=run.title,
            state=run.state,
            needs_browser=run.needs_browser,
            parameters=run.parameters,
            request_id=run.request_id,
            traceparent=run.traceparent,
            created_at=now,
        )
    )


def run_of(tx: Tx, organization_id: str, run_id: str) -> WorkflowRun | None:
    """The workflow run of a run."""
    return _one_run(tx, organization_id, workflow_runs.c.run_id == run_id)


def get_run(tx: Tx, organization_id: str, workflow_run_id: str) -> WorkflowRun | None:
    """One workflow run."""
    return _one_run(tx, organization_id, workflow_runs.c.workflow_run_id == workflow_run_id)


def _one_run(tx: Tx, organization_id: str, which: sa.ColumnElement[bool]) -> WorkflowRun | None:
    query = sa.select(workflow_runs).where(
        workflow_runs.c.organization_id == organization_id, which
    )
    row = tx.execute(query).first()
    return None if row is None else as_run(row)


def start_run(
    tx: Tx, organization_id: str, workflow_run_id: str, browser_session_id: str
) -> WorkflowRun | None:
    """Created → running; None when it was not in that state."""
    return _change(
        tx,
        organization_id,
        workflow_run_id,
        RunState.RUNNING,
        only=workflow_runs.c.state == RunState.CREATED,
        browser_session_id=browser_session_id,
        started_at=tx.now,
    )


def abandon_run(
    tx: Tx, organization_id: str, workflow_run_id: str, reason: str, failure: Failure
) -> WorkflowRun | None:
    """Created → canceled; None when it was not in that state."""
    changed = sa.update(workflow_runs).where(
        workflow_runs.c.state == RunState.CREATED, *_is(organization_id, workflow_run_id)
    )
    row = tx.execute(
        changed.values(
            state=RunState.CANCELED,
            cancel_reason=reason,
            failure=failure.as_dict(),
            ended_at=tx.now,
        ).returning(workflow_runs)
    ).first()
    return None if row is None else as_run(row)


def ask_to_cancel(tx: Tx, organization_id: str, workflow_run_id: str, reason: str) -> None:
    """Notes on a started workflow run that it is to stop, and wakes it if it rests."""
    tx.execute(
        sa.update(workflow_runs)
        .where(
            workflow_runs.c.state.in_([RunState.RUNNING, RunState.PAUSED]),
            workflow_runs.c.cancel_reason.is_(None),
            *_is(organization_id, workflow_run_id),
        )
        .values(state=RunState.RUNNING, cancel_reason=reason, wake_at=None, paused_at=None)
    )


def ask_to_pause(tx: Tx, organization_id: str, workflow_run_id: str) -> bool:
    """Notes on a workflow run that it is to rest; False when it has ended, stops or is asked."""
    asked = tx.execute(
        sa.update(workflow_runs)
        .where(
            workflow_runs.c.state.in_([RunState.CREATED, RunState.RUNNING]),
            workflow_runs.c.cancel_reason.is_(None),
            workflow_runs.c.pause_requested.is_(False),
            *_is(organization_id, workflow_run_id),
        )
        .values(pause_requested=True)
    )
    return asked.rowcount > 0


def heed(tx: Tx, organization_id: str, workflow_run_id: str, as_of: int) -> bool:
    """Notes what a pause or resume had seen; False when one that had seen more came before it."""
    if not as_of:
        return True
    heeded = tx.execute(
        _HEED,
        {"organization": organization_id, "workflow_run": workflow_run_id, "as_of": as_of},
    )
    return heeded.rowcount > 0


def pause_asleep(tx: Tx, organization_id: str, workflow_run_id: str) -> WorkflowRun | None:
    """Running, but with nothing to do before a moment → paused; None when that is not so.

    What it waits for is recorded with its block, so the timer is set again when it goes on.
    """
    return _change(
        tx,
        organization_id,
        workflow_run_id,
        RunState.PAUSED,
        only=sa.and_(
            workflow_runs.c.pause_requested.is_(True),
            workflow_runs.c.cancel_reason.is_(None),
            workflow_runs.c.lease_until.is_(None),
            workflow_runs.c.wake_at > tx.now,
        ),
        paused_at=tx.now,
        wake_at=None,
    )


def pause_run(tx: Tx, run: WorkflowRun) -> bool:
    """Running → paused, giving the lease back; False when that is not, or no longer, wanted."""
    wanted = sa.and_(
        workflow_runs.c.pause_requested.is_(True), workflow_runs.c.cancel_reason.is_(None)
    )
    paused = _change(
        tx,
        run.organization_id,
        run.workflow_run_id,
        RunState.PAUSED,
        only=wanted,
        paused_at=tx.now,
        lease_owner="",
        lease_until=None,
    )
    return paused is not None


def take_pause_back(tx: Tx, organization_id: str, workflow_run_id: str) -> None:
    """A pause that has not come into effect does not come."""
    tx.execute(
        sa.update(workflow_runs)
        .where(*_is(organization_id, workflow_run_id))
        .values(pause_requested=False)
    )


def resume_run(tx: Tx, organization_id: str, workflow_run_id: str) -> timedelta | None:
    """Paused → running; how long the pause was, or None when there was none."""
    query = sa.select(workflow_runs.c.paused_at).where(*_is(organization_id, workflow_run_id))
    paused_at = tx.execute(query.with_for_update()).scalar()
    resumed = _change(
        tx,
        organization_id,
        workflow_run_id,
        RunState.RUNNING,
        only=workflow_runs.c.state == RunState.PAUSED,
        pause_requested=False,
        paused_at=None,
    )
    return None if resumed is None else tx.now - (paused_at or tx.now)


def end_run(
    tx: Tx,
    run: WorkflowRun,
    state: RunState,
    output: dict[str, Any] | None,
    failure: Failure | None,
) -> bool:
    """Running → a terminal state, giving the lease back; False when it was not running."""
    ended = _change(
        tx,
        run.organization_id,
        run.workflow_run_id,
        state,
        output=output,
        failure=failure.as_dict() if failure else None,
        ended_at=tx.now,
        lease_owner="",
        lease_until=None,
    )
    return ended is not None


def rest(tx: Tx, run: WorkflowRun, until: datetime) -> None:
    """Gives the lease back until a moment, or not at all when a cancel came in between."""
    mine = _is(run.organization_id, run.workflow_run_id)
    canceled = workflow_runs.c.cancel_reason.is_not(None)
    tx.execute(
        sa.update(workflow_runs)
        .where(*mine)
        .values(
            wake_at=sa.case((canceled, sa.null()), else_=sa.literal(until, Timestamp)),
            lease_owner="",
            lease_until=None,
        )
    )


def is_due(tx: Tx) -> sa.ColumnElement[bool]:
    """Workflow runs that want an engine now."""
    awake = sa.or_(workflow_runs.c.wake_at.is_(None), workflow_runs.c.wake_at <= tx.now)
    return sa.and_(workflow_runs.c.state == RunState.RUNNING, awake)


def is_to_pause(tx: Tx, run: WorkflowRun) -> bool:
    """Whether a workflow run is to rest before its next block begins."""
    query = sa.select(workflow_runs.c.pause_requested).where(
        *_is(run.organization_id, run.workflow_run_id)
    )
    return bool(tx.execute(query).scalar())


def cancel_reasons(tx: Tx, keys: Iterable[str]) -> dict[str, str]:
    """Those of some workflow runs that are to stop, and why."""
    query = sa.select(workflow_runs.c.workflow_run_id, workflow_runs.c.cancel_reason).where(
        workflow_runs.c.workflow_run_id.in_(list(keys)),
        workflow_runs.c.cancel_reason.is_not(None),
    )
    return {row.workflow_run_id: row.cancel_reason for row in tx.execute(query)}


def _is(organization_id: str, workflow_run_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        workflow_runs.c.organization_id == organization_id,
        workflow_runs.c.workflow_run_id == workflow_run_id,
    )


def _change(
    tx: Tx,
    organization_id: str,
    workflow_run_id: str,
    state: RunState,
    *,
    only: sa.ColumnElement[bool] | None = None,
    **changes: Any,
) -> WorkflowRun | None:
    row = tx.execute(
        sa.update(workflow_runs)
        .where(
            workflow_runs.c.state.in_(may_become(state)),
            *_is(organization_id, workflow_run_id),
            *(() if only is None else (only,)),
        )
        .values(state=state, **changes)
        .returning(workflow_runs)
    ).first()
    return None if row is None else as_run(row)


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
