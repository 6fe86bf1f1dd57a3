"""Runs: the SQL on them.

A unit of work reads a run once, changes that copy, and writes what has changed at its end, so that
however many changes it makes cost one statement. Units are carried out one at a time among all
replicas, so nobody else changes the row meanwhile.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from libs import context, db, errors, history, lease, pages
from services.run.domain import (
    TERMINAL,
    Failure,
    Outcome,
    Run,
    RunState,
    Step,
    StepState,
    sources,
)
from services.run.store.tables import runs

DUE_TOPIC = "runs-due"
_COLUMNS = {field.name for field in dataclasses.fields(Run)} - {"last_sequence", "fence"}
# Facts that are kept as JSON, each by its `as_dict`.
_DOCUMENTS = {"failure", "ending"}
_ONE = (
    sa.select(runs, history.heads.c.sequence, history.heads.c.hash)
    .outerjoin(history.heads, history.heads.c.stream_id == runs.c.run_id)
    .where(runs.c.run_id == sa.bindparam("run_id"))
    .where(runs.c.organization_id == sa.bindparam("organization_id"))
)


def topic(run_id: str) -> str:
    """The signal that wakes a run's saga."""
    return f"run:{run_id}"


def end_topic(run_id: str) -> str:
    """The signal that a run has ended."""
    return f"run-end:{run_id}"


_GOING = [state for state in RunState if state not in TERMINAL | {RunState.PAUSED}]
_WOKEN = sa.or_(
    runs.c.cancel_reason.is_not(None),
    runs.c.ending.is_not(None),
    runs.c.workflow_result.is_not(None),
    runs.c.expires_at <= lease.NOW,
)
# A run wants its saga carried on until it has ended. A paused one rests without a lease until
# something happens to it, or its deadline comes: that is a row, so it comes whether or not a
# replica was there to wait for it.
due = sa.or_(runs.c.state.in_(_GOING), sa.and_(runs.c.state == RunState.PAUSED, _WOKEN))


def insert(tx: db.Tx, run: Run) -> None:
    """Writes a new run; Conflict (DUPLICATE_KEY) when its idempotency key is taken."""
    try:
        tx.insert(runs, columns(run))
    except exc.IntegrityError:
        raise errors.Conflict("the key is taken", reason="DUPLICATE_KEY") from None
    tx.known[runs, run.run_id] = _Copy(run)


def columns(run: Run) -> dict[str, Any]:
    """A run as its row, without the columns of its lease: those are no facts about the run."""
    return {name: _stored(name, getattr(run, name)) for name in _COLUMNS}


def _stored(name: str, value: Any) -> Any:
    if name == "steps":
        return [step.as_dict() for step in value]
    return value.as_dict() if name in _DOCUMENTS and value is not None else value


def stored(tx: db.Tx, run_id: str) -> dict[str, Any] | None:
    """The row of a run exactly as it is, in the form of `columns`."""
    row = tx.first(runs, run_id=run_id, organization_id=context.organization())
    if row is None:
        return None
    # SQLAlchemy's names are a kind of str of its own, which is no JSON name.
    return {str(name): value for name, value in row._mapping.items() if name in _COLUMNS}


def rewrite(tx: db.Tx, run: Run) -> None:
    """Makes the row of a run what `run` says; its lease stays as it is."""
    mine = {"run_id": run.run_id, "organization_id": run.organization_id}
    if tx.update(runs, mine, **columns(run)) == 0:
        tx.insert(runs, columns(run))


def by_key(tx: db.Tx, idempotency_key: str) -> tuple[Run, str] | None:
    """The run that an idempotency key made, with the hash of its request."""
    mine = context.organization()
    found = tx.first(runs, organization_id=mine, idempotency_key=idempotency_key)
    return (get(tx, found.run_id), found.request_hash) if found else None


def get(tx: db.Tx, run_id: str) -> Run:
    """A run of the present organisation as this unit sees it; NotFound otherwise."""
    run = find(tx, run_id)
    if run is None:
        raise errors.NotFound("run", run_id)
    return run


def find(tx: db.Tx, run_id: str) -> Run | None:
    """The same; None when there is no such run."""
    copy = _copy(tx, run_id)
    if copy is None:
        return None
    sequence = history.last_sequence(tx, run_id)
    if copy.run.last_sequence != sequence:
        copy.run = dataclasses.replace(copy.run, last_sequence=sequence)
    return copy.run


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
    found = [_run(row, history.last_sequence(tx, row.run_id)) for row in rows]
    more = len(found) > size
    found = found[:size]
    return found, pages.token(found[-1].run_id) if more else ""


def enter(tx: db.Tx, run_id: str, target: RunState, **values: Any) -> None:
    """Moves a run to a state that the table allows; Aborted (STATE_MOVED_ON) when it does not."""
    if get(tx, run_id).state not in sources(target):
        raise errors.Aborted(f"{run_id} may not become {target} now", reason="STATE_MOVED_ON")
    assign(tx, run_id, state=target, **values)


def finish(tx: db.Tx, run_id: str, outcome: Outcome, detail: str) -> None:
    """Moves a run to its terminal state."""
    output, failure = outcome.output, outcome.failure
    end = {"ended_at": tx.now, "output": output, "failure": failure, "detail": detail}
    enter(tx, run_id, outcome.state, **end)
    tx.notify(topic(run_id))
    tx.notify(end_topic(run_id))


def assign(tx: db.Tx, run_id: str, **values: Any) -> None:
    """Sets facts of a run that are not its state; written at the end of the unit."""
    copy = _copy(tx, run_id)
    if copy is None:
        raise errors.NotFound("run", run_id)
    if not copy.changed:
        tx.at_end(copy.write)
    copy.run = dataclasses.replace(copy.run, **values)
    copy.changed |= values.keys()


def set_step(tx: db.Tx, run_id: str, name: str, state: StepState, message: str = "") -> None:
    """Records how far a step is."""
    moment = "started_at" if state is StepState.RUNNING else "ended_at"
    values: dict[str, Any] = {"state": state, "message": message, moment: tx.now}
    steps = tuple(
        dataclasses.replace(step, **values) if step.name == name else step
        for step in get(tx, run_id).steps
    )
    assign(tx, run_id, steps=steps)


@dataclasses.dataclass(eq=False)
class _Copy:
    """A run as its unit of work has changed it, and the facts that are to be written."""

    run: Run
    changed: set[str] = dataclasses.field(default_factory=set)

    def write(self, tx: db.Tx) -> None:
        """Writes what has changed."""
        values = {name: _stored(name, getattr(self.run, name)) for name in sorted(self.changed)}
        mine = {"run_id": self.run.run_id, "organization_id": self.run.organization_id}
        tx.update(runs, mine, **values)


def _copy(tx: db.Tx, run_id: str) -> _Copy | None:
    """The unit's copy of a run of the present organisation."""
    if (known := tx.known.get((runs, run_id))) is not None:
        return known
    mine = {"run_id": run_id, "organization_id": context.organization()}
    row = tx.execute(_ONE, mine).first()
    if row is None:
        return None
    if row.sequence is not None:
        history.remember(tx, run_id, row.sequence, row.hash)
    copy = tx.known[runs, run_id] = _Copy(_run(row, row.sequence or 0))
    return copy


def _run(row: Any, last_sequence: int) -> Run:
    # Each asking for the mapping would make a new one.
    mapping = row._mapping
    values = {name: mapping[name] for name in _COLUMNS}
    values["state"] = RunState(values["state"])
    values["failure"] = Failure.from_dict(values["failure"])
    values["ending"] = Outcome.from_dict(values["ending"])
    values["steps"] = tuple(Step.from_dict(step) for step in values["steps"])
    return Run(**values, last_sequence=last_sequence)
