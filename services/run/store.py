"""The tables of the run service, and the only SQL about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from libs import context, db, errors, history, lease, pages
from services.run.domain import (
    TERMINAL,
    Alert,
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
    sa.Column("pause_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("ending", db.JSON),
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
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("context", db.JSON, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
    sa.Index("alerts_by_organization", "organization_id", "alert_id"),
)
_HOLD = (
    sa.select(runs.c.state)
    .where(runs.c.run_id == sa.bindparam("run_id"))
    .where(runs.c.organization_id == sa.bindparam("organization_id"))
    .with_for_update()
)
_NOT_COLUMNS = {"steps", "last_sequence", "fence"}
_RUN_COLUMNS = {field.name for field in dataclasses.fields(Run)} - _NOT_COLUMNS


def topic(run_id: str) -> str:
    """The signal that wakes a run's saga."""
    return f"run:{run_id}"


DUE_TOPIC = "runs-due"


def due(tx: db.Tx) -> sa.ColumnElement[bool]:
    """A run wants its saga carried on until it has ended.

    A paused one rests without a lease until something happens to it, or its deadline comes: that
    is a row, so it comes whether or not a replica was there to wait for it.
    """
    going = [state for state in RunState if state not in TERMINAL | {RunState.PAUSED}]
    woken = sa.or_(
        runs.c.cancel_reason.is_not(None),
        runs.c.ending.is_not(None),
        runs.c.workflow_result.is_not(None),
        runs.c.expires_at <= tx.now,
    )
    return sa.or_(runs.c.state.in_(going), sa.and_(runs.c.state == RunState.PAUSED, woken))


def insert(tx: db.Tx, run: Run) -> None:
    """Writes a new run and its steps; Conflict (DUPLICATE_KEY) when the key is taken."""
    try:
        tx.insert(runs, columns(run))
    except exc.IntegrityError:
        raise errors.Conflict("the key is taken", reason="DUPLICATE_KEY") from None
    tx.insert(steps, *step_rows(run))


def columns(run: Run) -> dict[str, Any]:
    """A run as its row, without the columns of its lease: those are no facts about the run."""
    row = {name: getattr(run, name) for name in _RUN_COLUMNS}
    row["failure"] = run.failure.as_dict() if run.failure else None
    row["ending"] = run.ending.as_dict() if run.ending else None
    return row


def step_rows(run: Run) -> list[dict[str, Any]]:
    """The steps of a run as rows, in their order."""
    return [
        {"run_id": run.run_id, "position": position} | dataclasses.asdict(step)
        for position, step in enumerate(run.steps)
    ]


def stored(tx: db.Tx, run_id: str) -> dict[str, Any] | None:
    """The rows of a run exactly as they are, in the form of `columns` and `step_rows`."""
    row = tx.first(runs, run_id=run_id, organization_id=context.organization())
    if row is None:
        return None
    recorded = tx.select(steps, "position", run_id=run_id)
    facts = {name: value for name, value in _named(row).items() if name in _RUN_COLUMNS}
    return {"run": facts, "steps": [_named(step) for step in recorded]}


def _named(row: Any) -> dict[str, Any]:
    # SQLAlchemy's names are a kind of str of its own, which is no JSON name.
    return {str(name): value for name, value in row._mapping.items()}


def rewrite(tx: db.Tx, run: Run) -> None:
    """Makes the rows of a run what `run` says; its lease stays as it is."""
    mine = {"run_id": run.run_id, "organization_id": run.organization_id}
    if tx.update(runs, mine, **columns(run)) == 0:
        tx.insert(runs, columns(run))
    tx.execute(sa.delete(steps).where(steps.c.run_id == run.run_id))
    tx.insert(steps, *step_rows(run))


def hold(tx: db.Tx, run_id: str) -> RunState | None:
    """The state of a run of the present organisation, which nobody changes until the commit.

    Whoever writes a run's history takes its row first, so that nothing is added after its end and
    no two writers wait for each other.
    """
    mine = {"run_id": run_id, "organization_id": context.organization()}
    state = tx.execute(_HOLD, mine).scalar()
    return None if state is None else RunState(state)


def by_key(tx: db.Tx, idempotency_key: str) -> tuple[Run, str] | None:
    """The run that an idempotency key made, with the hash of its request."""
    mine = context.organization()
    found = tx.first(runs, organization_id=mine, idempotency_key=idempotency_key)
    return (get(tx, found.run_id), found.request_hash) if found else None


def get(tx: db.Tx, run_id: str) -> Run:
    """A run of the present organisation with its steps; NotFound otherwise."""
    row = tx.first(runs, run_id=run_id, organization_id=context.organization())
    if row is None:
        raise errors.NotFound("run", run_id)
    return _run(row, _steps(tx, run_id), _last_sequence(tx, run_id))


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
    before = {"run_id": run_id, "state": sources(target)}
    if tx.update(runs, before, state=target, **values) == 0:
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
    tx.update(runs, {"run_id": run_id}, **values)


def set_step(tx: db.Tx, run_id: str, name: str, state: StepState, message: str = "") -> None:
    """Records how far a step is."""
    values: dict[str, Any] = {"state": state, "message": message}
    values["started_at" if state is StepState.RUNNING else "ended_at"] = tx.now
    tx.update(steps, {"run_id": run_id, "name": name}, **values)


def add_alert(
    tx: db.Tx, alert_id: str, level: str, reason: str, run_id: str, about: dict[str, Any]
) -> None:
    """Writes an alert that people are to see."""
    row = {
        "alert_id": alert_id,
        "organization_id": context.organization(),
        "run_id": run_id,
        "level": level,
        "reason": reason,
        "context": about,
        "created_at": tx.now,
    }
    tx.insert(alerts, row)


def alert_page(tx: db.Tx, *, size: int, token: str, run_id: str) -> tuple[list[Alert], str]:
    """Alerts of the present organisation, newest first, and the token of the next page."""
    query = sa.select(alerts).where(alerts.c.organization_id == context.organization())
    if after := pages.position(token):
        query = query.where(alerts.c.alert_id < after[0])
    if run_id:
        query = query.where(alerts.c.run_id == run_id)
    rows = list(tx.execute(query.order_by(alerts.c.alert_id.desc()).limit(size + 1)))
    found = [
        Alert(row.alert_id, row.level, row.reason, row.run_id, row.context, row.created_at)
        for row in rows[:size]
    ]
    return found, pages.token(found[-1].alert_id) if len(rows) > size else ""


def _steps(tx: db.Tx, run_id: str) -> tuple[Step, ...]:
    return tuple(
        Step(row.name, StepState(row.state), row.started_at, row.ended_at, row.message)
        for row in tx.select(steps, "position", run_id=run_id)
    )


def head(tx: db.Tx, run_id: str) -> list[Any]:
    """How long the history of a run is, and the hash of its last event, as kept beside it."""
    row = tx.first(history.heads, stream_id=run_id)
    return [0, ""] if row is None else [row.sequence, row.hash]


def owns_history(tx: db.Tx, run_id: str) -> bool:
    """Whether the present organisation has a history of that id, be there a run or not."""
    events = history.history
    query = sa.select(events.c.sequence).where(
        events.c.stream_id == run_id, events.c.organization_id == context.organization()
    )
    return tx.execute(query.limit(1)).first() is not None


def foreign_events(tx: db.Tx, run_id: str) -> list[int]:
    """Sequences in a run's history that say they are another organisation's: there are none."""
    events = history.history
    query = sa.select(events.c.sequence).where(
        events.c.stream_id == run_id, events.c.organization_id != context.organization()
    )
    return [row.sequence for row in tx.execute(query.order_by(events.c.sequence).limit(10))]


def _last_sequence(tx: db.Tx, run_id: str) -> int:
    return head(tx, run_id)[0]


def _run(row: Any, recorded: tuple[Step, ...], last_sequence: int) -> Run:
    values = {name: row._mapping[name] for name in _RUN_COLUMNS}
    values["state"] = RunState(values["state"])
    values["failure"] = Failure.from_dict(values["failure"])
    values["ending"] = Outcome.from_dict(values["ending"])
    return Run(**values, steps=recorded, last_sequence=last_sequence)
