"""The tables of the run service, and the only SQL about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from libs import context, db, errors, history, lease, pages
from services.run.domain import (
    STEPS,
    TERMINAL,
    Failure,
    Outcome,
    Run,
    RunState,
    Step,
    StepState,
    sources,
)

METADATA = sa.MetaData()
runs = sa.Table(
    "runs",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("title", sa.String(256), nullable=False),
    sa.Column("workflow_id", sa.String(64), nullable=False),
    sa.Column("workflow_version", sa.Integer, nullable=False),
    sa.Column("workflow_run_id", sa.String(64), nullable=False),
    sa.Column("needs_browser", sa.Boolean, nullable=False),
    sa.Column("requested_session_id", sa.String(64), nullable=False),
    sa.Column("browser_session_id", sa.String(64), nullable=False),
    sa.Column("parameters", db.JSON, nullable=False),
    sa.Column("labels", db.JSON, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
    sa.Column("expires_at", db.Timestamp, nullable=False),
    sa.Column("started_at", db.Timestamp),
    sa.Column("ended_at", db.Timestamp),
    sa.Column("output", db.JSON),
    sa.Column("failure", db.JSON),
    sa.Column("detail", sa.Text, nullable=False, default=""),
    sa.Column("cancel_reason", sa.Text),
    sa.Column("workflow_result", db.JSON),
    sa.Column("request_id", sa.String(128), nullable=False),
    sa.Column("traceparent", sa.String(64), nullable=False),
    sa.Column("idempotency_key", sa.String(128)),
    sa.Column("request_hash", sa.String(64), nullable=False),
    *lease.lease_columns(),
    sa.UniqueConstraint("organization_id", "idempotency_key", name="one_run_per_key"),
    sa.Index("runs_by_organization", "organization_id", "run_id"),
    sa.Index("runs_by_state", "state"),
)
steps = sa.Table(
    "saga_steps",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("started_at", db.Timestamp),
    sa.Column("ended_at", db.Timestamp),
    sa.Column("message", sa.Text, nullable=False, default=""),
)
alerts = sa.Table(
    "alerts",
    METADATA,
    sa.Column("alert_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("context", db.JSON, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
)
_RUN_COLUMNS = {field.name for field in dataclasses.fields(Run)} - {"steps", "last_sequence"}


def topic(run_id: str) -> str:
    """The signal that wakes a run's saga."""
    return f"run:{run_id}"


DUE_TOPIC = "runs-due"


def due(_tx: db.Tx) -> sa.ColumnElement[bool]:
    """A run wants its saga carried on until it has ended."""
    return runs.c.state.in_([state for state in RunState if state not in TERMINAL])


def insert(tx: db.Tx, run: Run, idempotency_key: str, request_hash: str) -> None:
    """Writes a new run and its steps; Conflict (DUPLICATE_KEY) when the key is taken."""
    row = {name: getattr(run, name) for name in _RUN_COLUMNS}
    row["failure"] = None
    row |= {"idempotency_key": idempotency_key or None, "request_hash": request_hash}
    try:
        tx.execute(sa.insert(runs).values(**row))
    except sa.exc.IntegrityError:
        raise errors.Conflict("the key is taken", reason="DUPLICATE_KEY") from None
    for position, step in enumerate(run.steps):
        tx.execute(
            sa.insert(steps).values(
                run_id=run.run_id,
                position=position,
                name=step.name,
                state=step.state,
                started_at=step.started_at,
                ended_at=step.ended_at,
                message=step.message,
            )
        )


def by_key(tx: db.Tx, idempotency_key: str) -> tuple[Run, str] | None:
    """The run that an idempotency key made, with the hash of its request."""
    query = sa.select(runs.c.run_id, runs.c.request_hash).where(
        runs.c.organization_id == context.organization(),
        runs.c.idempotency_key == idempotency_key,
    )
    found = tx.execute(query).first()
    return (get(tx, found.run_id), found.request_hash) if found else None


def get(tx: db.Tx, run_id: str) -> Run:
    """A run of the present organisation with its steps; NotFound otherwise."""
    query = sa.select(runs).where(
        runs.c.run_id == run_id, runs.c.organization_id == context.organization()
    )
    row = tx.execute(query).first()
    if row is None:
        raise errors.NotFound("run", run_id)
    return _run(row, _steps(tx, run_id), _last_sequence(tx, run_id))


def held(tx: db.Tx, run_id: str) -> Run:
    """The same, and the run cannot end before this commit: nothing is told after its end."""
    tx.execute(sa.select(runs.c.run_id).where(runs.c.run_id == run_id).with_for_update())
    return get(tx, run_id)


def page(
    tx: db.Tx, *, size: int, token: str, states: Sequence[RunState], workflow_id: str
) -> tuple[list[Run], str]:
    """Runs of the present organisation, newest first, and the token of the next page."""
    query = sa.select(runs).where(runs.c.organization_id == context.organization())
    if after := pages.position(token):
        query = query.where(runs.c.run_id < after[0])
    if states:
        query = query.where(runs.c.state.in_(list(states)))
    if workflow_id:
        query = query.where(runs.c.workflow_id == workflow_id)
    rows = list(tx.execute(query.order_by(runs.c.run_id.desc()).limit(size + 1)))
    found = [_run(row, _steps(tx, row.run_id), _last_sequence(tx, row.run_id)) for row in rows]
    more = len(found) > size
    found = found[:size]
    return found, pages.token(found[-1].run_id) if more else ""


def enter(tx: db.Tx, run_id: str, target: RunState, **values: Any) -> None:
    """Moves a run to a state that the table allows; Aborted (STATE_MOVED_ON) when it does not."""
    changed = tx.execute(
        sa.update(runs)
        .where(runs.c.run_id == run_id, runs.c.state.in_(list(sources(target))))
        .values(state=target, **values)
    )
    if changed.rowcount == 0:
        raise errors.Aborted(f"{run_id} may not become {target} now", reason="STATE_MOVED_ON")


def finish(tx: db.Tx, run_id: str, outcome: Outcome, detail: str) -> None:
    """Moves a run to its terminal state."""
    enter(
        tx,
        run_id,
        outcome.state,
        ended_at=tx.now,
        output=outcome.output,
        failure=outcome.failure.as_dict() if outcome.failure else None,
        detail=detail,
    )


def assign(tx: db.Tx, run_id: str, **values: Any) -> None:
    """Sets columns of a run that are not its state."""
    tx.execute(sa.update(runs).where(runs.c.run_id == run_id).values(**values))


def set_step(tx: db.Tx, run_id: str, name: str, state: StepState, message: str = "") -> None:
    """Records how far a step is."""
    values: dict[str, Any] = {"state": state, "message": message}
    values["started_at" if state is StepState.RUNNING else "ended_at"] = tx.now
    where = (steps.c.run_id == run_id, steps.c.name == name)
    tx.execute(sa.update(steps).where(*where).values(**values))


def add_alert(tx: db.Tx, alert_id: str, level: str, reason: str, about: dict[str, Any]) -> None:
    """Writes an alert that people are to see."""
    tx.execute(
        sa.insert(alerts).values(
            alert_id=alert_id,
            organization_id=context.organization(),
            level=level,
            reason=reason,
            context=about,
            created_at=tx.now,
        )
    )


def _steps(tx: db.Tx, run_id: str) -> tuple[Step, ...]:
    query = sa.select(steps).where(steps.c.run_id == run_id).order_by(steps.c.position)
    return tuple(
        Step(row.name, StepState(row.state), row.started_at, row.ended_at, row.message)
        for row in tx.execute(query)
    )


def _last_sequence(tx: db.Tx, run_id: str) -> int:
    query = sa.select(history.heads.c.sequence).where(history.heads.c.stream_id == run_id)
    return tx.execute(query).scalar() or 0


def _run(row: Any, recorded: tuple[Step, ...], last_sequence: int) -> Run:
    values = {name: row._mapping[name] for name in _RUN_COLUMNS}
    values["state"] = RunState(values["state"])
    values["failure"] = Failure.from_dict(values["failure"])
    return Run(**values, steps=recorded, last_sequence=last_sequence)


def fresh_steps() -> tuple[Step, ...]:
    """The saga of a run that has not begun."""
    return tuple(Step(name) for name in STEPS)
