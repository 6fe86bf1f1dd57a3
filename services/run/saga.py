"""The saga that carries a run: durable steps, interrupted by cancel and timeout, undone in reverse.

Each commit records the end of one step together with the beginning of the next. After a crash any
replica takes the run over and goes on with the first step that is not recorded as done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from datetime import datetime
from typing import Any, TypeVar

import orjson

from libs import context, db, errors, history, ids, lease, resilience, telemetry
from libs.clock import Clock
from libs.lease import Work
from libs.signals import Signals
from services.run import store
from services.run.domain import (
    EXECUTE_WORKFLOW,
    SEND_WEBHOOKS,
    Failure,
    Outcome,
    Run,
    RunState,
    StepState,
    to_compensate,
)
from services.run.steps import Steps, StepWork

T = TypeVar("T")
log = logging.getLogger(__name__)
COMPENSATION_TRIES = 3
INTERRUPT_CHECK_S = 5.0
LARGEST_ANNOUNCED_OUTPUT = 16 * 1024


class Interrupted(Exception):
    """The run is to stop: it was canceled, or its time is over."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.state)
        self.outcome = outcome


class Saga:
    """Carries out claimed runs."""

    def __init__(self, database: db.Database, signals: Signals, clock: Clock, steps: Steps) -> None:
        self._db = database
        self._signals = signals
        self._clock = clock
        self._steps = steps

    async def perform(self, work: Work) -> None:
        """Carries one run to its end, from wherever it stands."""
        row = work.row
        context.assign(
            organization_id=row.organization_id,
            run_id=row.run_id,
            workflow_run_id=row.workflow_run_id,
            request_id=row.request_id,
            caller="run",
        )
        with telemetry.continued(row.traceparent, "saga", **{"podium.run_id": row.run_id}):
            await self._carry(work)

    async def _carry(self, work: Work) -> None:
        run = await self._db.read(lambda tx: store.get(tx, work.key))
        detail = ""
        try:
            outcome = await self._forward(run, work)
        except Interrupted as interrupted:
            outcome = interrupted.outcome
        except errors.Aborted:
            raise
        except errors.PodiumError as error:
            outcome = Outcome(RunState.FAILED, failure=_failure(error))
        if outcome.state is not RunState.COMPLETED:
            detail = await self._compensate(work, outcome)
        await self._finish(work, outcome, detail)

    async def _forward(self, run: Run, work: Work) -> Outcome:
        """The steps in their order; each commit ends one and begins the next."""
        finished: tuple[StepWork, dict[str, Any]] | None = None
        for step in self._steps.table:
            if run.step(step.name).state in (StepState.COMPLETED, StepState.SKIPPED):
                continue
            run = await self._record(work, finished, step)
            finished = None
            if step.wanted(run):
                with telemetry.span(f"saga.{step.name}"):
                    finished = (step, await self._interruptible(run, step.execute(run)))
        run = await self._db.read(lambda tx: store.get(tx, work.key))
        return await self._interruptible(run, self._steps.outcome(run))

    async def _record(
        self, work: Work, finished: tuple[StepWork, dict[str, Any]] | None, begun: StepWork
    ) -> Run:
        def unit(tx: db.Tx) -> Run:
            lease.guarded(tx, store.runs, "run_id", work.key, work.fence)
            run = store.get(tx, work.key)
            if run.state is RunState.QUEUED:
                store.enter(tx, run.run_id, RunState.RUNNING, started_at=tx.now)
                announce(tx, run.run_id, "run.started", {"title": run.title})
            if finished is not None:
                step, result = finished
                if result:
                    store.assign(tx, run.run_id, **result)
                _end_step(tx, run, step.name, StepState.COMPLETED)
            if not begun.wanted(run):
                store.set_step(tx, run.run_id, begun.name, StepState.SKIPPED)
                note(tx, run.run_id, "saga.step_skipped", {"step": begun.name})
            elif run.step(begun.name).state is not StepState.RUNNING:
                store.set_step(tx, run.run_id, begun.name, StepState.RUNNING)
                note(tx, run.run_id, "saga.step_started", {"step": begun.name})
            return store.get(tx, run.run_id)

        return await self._db.write(unit)

    async def _interruptible(self, run: Run, work: Awaitable[T]) -> T:
        """Waits for the work, or raises Interrupted as soon as the run is to stop."""
        task = asyncio.ensure_future(work)
        try:
            async with self._signals.subscribe(store.topic(run.run_id)) as subscription:
                while not task.done():
                    await self._check_interrupted(run.run_id)
                    left_s = (run.expires_at - self._clock.now()).total_seconds()
                    waiting = asyncio.ensure_future(
                        subscription.wait(min(max(left_s, 0.05), INTERRUPT_CHECK_S))
                    )
                    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _check_interrupted(self, run_id: str) -> None:
        def look(tx: db.Tx) -> Outcome | None:
            run = store.get(tx, run_id)
            if run.cancel_reason is not None:
                return Outcome(
                    RunState.CANCELED, failure=Failure("CANCELED", run.cancel_reason or "canceled")
                )
            if tx.now >= run.expires_at and run.workflow_result is None:
                limit_s = (run.expires_at - run.created_at).total_seconds()
                why = f"the run did not end within {limit_s:g} s"
                return Outcome(RunState.TIMED_OUT, failure=Failure("TIMED_OUT", why))
            return None

        if (outcome := await self._db.read(look)) is not None:
            raise Interrupted(outcome)

    async def _compensate(self, work: Work, outcome: Outcome) -> str:
        """Undoes what was done, newest first; answers what could not be undone, in words."""
        run = await self._fail_running_step(work, outcome)
        by_name = {step.name: step for step in self._steps.table}
        lost = []
        for recorded in to_compensate(run):
            step = by_name[recorded.name]
            try:
                await self._undo(step, run)
            except errors.PodiumError as error:
                lost.append(f"{step.name} could not be undone: {error.message}")
                await self._record_compensation(work, step.name, error)
            else:
                await self._record_compensation(work, step.name, None)
        return "compensation_failed: " + "; ".join(lost) if lost else ""

    async def _undo(self, step: StepWork, run: Run) -> None:
        for attempt in range(1, COMPENSATION_TRIES + 1):
            try:
                with telemetry.span(f"saga.compensate_{step.name}"):
                    return await step.compensate(run)
            except (errors.NotFound, errors.FailedPrecondition):
                # What is to be undone is gone already.
                return None
            except errors.PodiumError:
                if attempt == COMPENSATION_TRIES:
                    raise
                await self._clock.sleep(0.2 * 2**attempt)
        return None

    async def _fail_running_step(self, work: Work, outcome: Outcome) -> Run:
        """Marks the step that ended the run; one whose effect is uncertain is left to be undone."""
        definite = outcome.state in (RunState.FAILED, RunState.TERMINATED) and (
            outcome.failure is None or outcome.failure.category != resilience.Category.TRANSIENT
        )

        def unit(tx: db.Tx) -> Run:
            lease.guarded(tx, store.runs, "run_id", work.key, work.fence)
            run = store.get(tx, work.key)
            for step in run.steps:
                if step.state is StepState.RUNNING and definite:
                    why = outcome.failure.message if outcome.failure else ""
                    _end_step(tx, run, step.name, StepState.FAILED, why)
            return store.get(tx, work.key)

        return await self._db.write(unit)

    async def _record_compensation(
        self, work: Work, name: str, error: errors.PodiumError | None
    ) -> None:
        def unit(tx: db.Tx) -> None:
            lease.guarded(tx, store.runs, "run_id", work.key, work.fence)
            run = store.get(tx, work.key)
            if error is None:
                _end_step(tx, run, name, StepState.COMPENSATED)
                return
            _end_step(tx, run, name, StepState.COMPENSATION_FAILED, error.message)
            about = {"run_id": work.key, "step": name, "message": error.message}
            store.add_alert(tx, ids.new("alrt"), "error", "COMPENSATION_FAILED", about)
            announce(tx, work.key, "alert.raised", {"reason": "COMPENSATION_FAILED", **about})

        await self._db.write(unit)

    async def _finish(self, work: Work, outcome: Outcome, detail: str) -> None:
        """The commit that ends the run: its state, its last events, its lease.

        The final event is in the outbox of this commit, which is all that send_webhooks does; so
        that step is done exactly when the run has ended, and never has to be undone.
        """

        def unit(tx: db.Tx) -> None:
            lease.guarded(tx, store.runs, "run_id", work.key, work.fence)
            run = store.get(tx, work.key)
            if outcome.state is RunState.COMPLETED:
                _end_step(tx, run, EXECUTE_WORKFLOW, StepState.COMPLETED)
            store.set_step(tx, work.key, SEND_WEBHOOKS, StepState.RUNNING)
            store.set_step(tx, work.key, SEND_WEBHOOKS, StepState.COMPLETED)
            store.finish(tx, work.key, outcome, detail)
            announce(tx, work.key, "run.finished", finished_data(run, outcome, detail, tx.now))
            lease.release(tx, store.runs, "run_id", work.key, work.fence)
            tx.notify(store.topic(work.key))

        await self._db.write(unit)
        work.released = True


def note(tx: db.Tx, run_id: str, type_: str, data: dict[str, Any]) -> None:
    """An event of the run's history that nobody but its watchers needs."""
    history.append(tx, run_id, type_, data, source="run")


def announce(tx: db.Tx, run_id: str, type_: str, data: dict[str, Any]) -> None:
    """An event of the run's history that the other services are told of as well."""
    note(tx, run_id, type_, data)
    tx.publish(type_, data, run_id=run_id)


def finished_data(run: Run, outcome: Outcome, detail: str, now: datetime) -> dict[str, Any]:
    """What is told about the end of a run; an output too large for an event stays in the run."""
    data: dict[str, Any] = {
        "state": str(outcome.state),
        "title": run.title,
        "duration_ms": round((now - run.created_at).total_seconds() * 1000),
        "browser_session_id": run.browser_session_id,
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


def _end_step(tx: db.Tx, run: Run, name: str, state: StepState, why: str = "") -> None:
    store.set_step(tx, run.run_id, name, state, why)
    data: dict[str, Any] = {"step": name}
    if (began := run.step(name).started_at) is not None:
        data["duration_ms"] = round((tx.now - began).total_seconds() * 1000)
    if why:
        data["message"] = why
    verb = "finished" if state is StepState.COMPLETED else state
    note(tx, run.run_id, f"saga.step_{verb}", data)


def _failure(error: errors.PodiumError) -> Failure:
    message = error.message
    if error.violations:
        message = "; ".join(f"{field}: {why}" for field, why in error.violations)
    return Failure(error.reason, message, category=resilience.classify(error))
