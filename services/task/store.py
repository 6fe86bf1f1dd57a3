"""The tables of tasks and their actions, and the only SQL of the service."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from libs import db, errors, lease
from libs.db import Tx
from services.task.domain import (
    TERMINAL,
    ActionRecord,
    ActionState,
    ExtractionSpec,
    Failing,
    LoginSpec,
    Outcome,
    Phase,
    Spec,
    Task,
    TaskState,
    browser_lost,
    may_become,
)

METADATA = sa.MetaData()
TOPIC = "tasks"
tasks = sa.Table(
    "tasks",
    METADATA,
    sa.Column("task_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("request_id", sa.String(256), nullable=False),
    sa.Column("request_hash", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("workflow_run_id", sa.String(64), nullable=False),
    sa.Column("block_path", sa.String(512), nullable=False),
    sa.Column("browser_session_id", sa.String(64), nullable=False),
    sa.Column("spec", db.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("cancel_reason", sa.Text),
    sa.Column("browser_generation", sa.Integer, nullable=False, default=0),
    # Why the page of a running task is gone, as browser_session tells it.
    sa.Column("browser_lost", sa.String(32)),
    sa.Column("output", db.JSON),
    sa.Column("artifacts", db.JSON, nullable=False),
    sa.Column("failing", db.JSON),
    sa.Column("origin", db.JSON, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
    sa.Column("started_at", db.Timestamp),
    sa.Column("ended_at", db.Timestamp),
    *lease.lease_columns(),
    sa.UniqueConstraint("organization_id", "request_id"),
    sa.Index("tasks_by_state", "state", "lease_until"),
    sa.Index("tasks_by_run", "organization_id", "run_id"),
    sa.Index("tasks_by_session", "browser_session_id", "state"),
)
actions = sa.Table(
    "actions",
    METADATA,
    sa.Column("task_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("params", db.JSON, nullable=False),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("planner", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("started_at", db.Timestamp, nullable=False),
    sa.Column("page_url", sa.Text, nullable=False),
    sa.Column("page_mark", sa.String(32), nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("output", db.JSON),
    sa.Column("failing", db.JSON),
)


def follow_topic(task_id: str) -> str:
    """The signal that wakes whoever follows the task."""
    return f"task:{task_id}"


def create(tx: Tx, task: Task, request_hash: str, origin: dict[str, str]) -> Task:
    """Write a task down, or answer the one that was asked for with this request id."""
    known = tx.execute(
        sa.select(tasks).where(
            tasks.c.organization_id == task.organization_id,
            tasks.c.request_id == task.request_id,
        )
    ).first()
    if known is not None:
        if known.request_hash != request_hash:
            raise errors.Conflict(
                f"request_id {task.request_id!r} was used for another task",
                reason="IDEMPOTENCY_CONFLICT",
            )
        return task_of(known)
    tx.execute(
        sa.insert(tasks).values(
            task_id=task.task_id,
            organization_id=task.organization_id,
            request_id=task.request_id,
            request_hash=request_hash,
            run_id=task.run_id,
            workflow_run_id=task.workflow_run_id,
            block_path=task.block_path,
            browser_session_id=task.browser_session_id,
            spec=asdict(task.spec),
            state=task.state,
            artifacts=[],
            origin=origin,
            created_at=task.created_at,
            lease_owner="",
            lease_fence=0,
        )
    )
    tx.notify(TOPIC)
    return task


def get(tx: Tx, organization_id: str, task_id: str) -> Task:
    """One task of the organisation."""
    row = tx.execute(
        sa.select(tasks).where(
            tasks.c.task_id == task_id, tasks.c.organization_id == organization_id
        )
    ).first()
    if row is None:
        raise errors.NotFound("task", task_id)
    return task_of(row)


def of_request(tx: Tx, organization_id: str, request_id: str) -> Task | None:
    """The task that was asked for with a request id."""
    row = tx.execute(
        sa.select(tasks).where(
            tasks.c.organization_id == organization_id, tasks.c.request_id == request_id
        )
    ).first()
    return None if row is None else task_of(row)


def page(tx: Tx, organization_id: str, run_id: str, before: str, size: int) -> list[Task]:
    """Tasks of the organisation, newest first, those before a given one."""
    query = sa.select(tasks).where(tasks.c.organization_id == organization_id)
    if run_id:
        query = query.where(tasks.c.run_id == run_id)
    if before:
        query = query.where(tasks.c.task_id < before)
    rows = tx.execute(query.order_by(tasks.c.task_id.desc()).limit(size))
    return [task_of(row) for row in rows]


def actions_of(tx: Tx, organization_id: str, task_id: str, after: int = 0) -> list[ActionRecord]:
    """The actions of a task in order, those after a given number."""
    query = (
        sa.select(actions)
        .where(
            actions.c.task_id == task_id,
            actions.c.organization_id == organization_id,
            actions.c.number > after,
        )
        .order_by(actions.c.number)
    )
    return [_record(row) for row in tx.execute(query)]


# Which tasks want an agent.
due = tasks.c.state.in_([TaskState.QUEUED, TaskState.RUNNING])


def save_actions(
    tx: Tx, task: Task, fence: int, records: list[ActionRecord], generation: int = 0
) -> None:
    """Write actions down as they now stand; the first of a task sets it running in a browser."""
    lease.guarded(tx, tasks, "task_id", task.task_id, fence)
    tx.execute(
        sa.update(tasks)
        .where(tasks.c.task_id == task.task_id, tasks.c.state == TaskState.QUEUED)
        .values(state=TaskState.RUNNING, started_at=tx.now, browser_generation=generation)
    )
    for record in records:
        _save_action(tx, task, record)
    tx.notify(follow_topic(task.task_id))


def finish(tx: Tx, task: Task, fence: int, outcome: Outcome) -> None:
    """End a task, give its lease back, and tell the world."""
    ended = tx.execute(
        sa.update(tasks)
        .where(
            tasks.c.task_id == task.task_id,
            tasks.c.lease_fence == fence,
            tasks.c.state.in_(may_become(outcome.state)),
        )
        .values(**_ending(tx, outcome), lease_owner="", lease_until=None)
    )
    if ended.rowcount == 0:
        raise errors.Aborted(f"{task.task_id} was taken over", reason="LEASE_LOST")
    _announce(tx, task, outcome)


def cancel(tx: Tx, task: Task, reason: str) -> None:
    """Stop a task: at once when no agent holds it, else by telling the agent."""
    outcome = canceled(reason)
    # One without an owner is free too: it waits for its next try after a failure.
    free = sa.or_(
        tasks.c.lease_until.is_(None), tasks.c.lease_until < tx.now, tasks.c.lease_owner == ""
    )
    ended = tx.execute(
        sa.update(tasks)
        .where(
            tasks.c.task_id == task.task_id,
            tasks.c.state.not_in(list(TERMINAL)),
            free,
        )
        .values(**_ending(tx, outcome), cancel_reason=reason, lease_fence=tasks.c.lease_fence + 1)
    )
    if ended.rowcount:
        _announce(tx, task, outcome)
        return
    tx.execute(
        sa.update(tasks)
        .where(tasks.c.task_id == task.task_id, tasks.c.cancel_reason.is_(None))
        .values(cancel_reason=reason)
    )
    tx.notify(follow_topic(task.task_id))


def canceled(reason: str) -> Outcome:
    """How a task ends that was stopped on request."""
    why = f"stopped on request: {reason}" if reason else "stopped on request"
    return Outcome(TaskState.CANCELED, failing=Failing("CANCELED", why))


def interruption(tx: Tx, task_id: str) -> Outcome | None:
    """How a task must end that cannot go on: it was canceled, or its browser is gone."""
    query = sa.select(tasks.c.cancel_reason, tasks.c.browser_lost)
    row = tx.execute(query.where(tasks.c.task_id == task_id)).first()
    if row is not None and row.cancel_reason is not None:
        return canceled(row.cancel_reason)
    if row is not None and row.browser_lost is not None:
        return browser_lost(row.browser_lost)
    return None


def browser_topic(browser_session_id: str) -> str:
    """The signal that connections to the browser of a session lead nowhere any more."""
    return f"browser:{browser_session_id}"


def lose_browser(
    tx: Tx, organization_id: str, browser_session_id: str, reason: str, generation: int | None
) -> None:
    """Tells the running tasks of a session that their browser is gone.

    With a generation only those of earlier browsers; a task that has not acted yet needs none.
    """
    older = sa.true() if generation is None else tasks.c.browser_generation < generation
    told = tx.execute(
        sa.update(tasks)
        .where(
            tasks.c.organization_id == organization_id,
            tasks.c.browser_session_id == browser_session_id,
            tasks.c.state == TaskState.RUNNING,
            tasks.c.browser_generation > 0,
            older,
        )
        .values(browser_lost=reason)
        .returning(tasks.c.task_id)
    )
    for row in told:
        tx.notify(follow_topic(row.task_id))
    tx.notify(browser_topic(browser_session_id))


def task_of(row: Any) -> Task:
    """A row as the domain has it."""
    return Task(
        task_id=row.task_id,
        organization_id=row.organization_id,
        request_id=row.request_id,
        spec=_spec(row.spec),
        browser_session_id=row.browser_session_id,
        state=TaskState(row.state),
        created_at=row.created_at,
        run_id=row.run_id,
        workflow_run_id=row.workflow_run_id,
        block_path=row.block_path,
        started_at=row.started_at,
        ended_at=row.ended_at,
        cancel_reason=row.cancel_reason,
        browser_generation=row.browser_generation,
        output=row.output,
        artifacts=tuple(row.artifacts),
        failing=Failing(**row.failing) if row.failing else None,
    )


def _ending(tx: Tx, outcome: Outcome) -> dict[str, Any]:
    return {
        "state": outcome.state,
        "output": outcome.output,
        "artifacts": list(outcome.artifacts),
        "failing": asdict(outcome.failing) if outcome.failing else None,
        "ended_at": tx.now,
    }


def _announce(tx: Tx, task: Task, outcome: Outcome) -> None:
    data = {"state": str(outcome.state), "block_path": task.block_path}
    if outcome.failing is not None:
        data |= {"reason": outcome.failing.reason, "message": outcome.failing.message}
    tx.publish(
        "task.finished",
        data,
        organization_id=task.organization_id,
        run_id=task.run_id,
        workflow_run_id=task.workflow_run_id,
        task_id=task.task_id,
    )
    tx.notify(follow_topic(task.task_id))


def _save_action(tx: Tx, task: Task, record: ActionRecord) -> None:
    values = {
        "kind": record.kind,
        "params": record.params,
        "phase": record.phase,
        "planner": record.planner,
        "state": record.state,
        "started_at": record.started_at,
        "page_url": record.page_url,
        "page_mark": record.page_mark,
        "duration_ms": record.duration_ms,
        "output": record.output,
        "failing": asdict(record.failing) if record.failing else None,
    }
    here = sa.and_(actions.c.task_id == task.task_id, actions.c.number == record.number)
    if tx.execute(sa.update(actions).where(here).values(**values)).rowcount == 0:
        key = {"task_id": task.task_id, "number": record.number}
        organization = {"organization_id": task.organization_id}
        tx.execute(sa.insert(actions).values(**key, **organization, **values))


def _spec(raw: dict[str, Any]) -> Spec:
    login, extraction = raw["login"], raw["extraction"]
    return Spec(
        **{
            **raw,
            "actions": tuple(raw["actions"]),
            "login": _login(login) if login else None,
            "extraction": ExtractionSpec(**extraction) if extraction else None,
        }
    )


def _login(raw: dict[str, Any]) -> LoginSpec:
    return LoginSpec(**{**raw, "link_hosts": tuple(raw.get("link_hosts", ()))})


def _record(row: Any) -> ActionRecord:
    return ActionRecord(
        number=row.number,
        kind=row.kind,
        params=row.params,
        phase=Phase(row.phase),
        planner=row.planner,
        state=ActionState(row.state),
        started_at=row.started_at,
        page_url=row.page_url,
        page_mark=row.page_mark,
        duration_ms=row.duration_ms,
        output=row.output,
        failing=Failing(**row.failing) if row.failing else None,
    )
