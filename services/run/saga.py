"""The saga that carries a run: durable steps, interrupted by cancel and timeout, undone in reverse.

Each commit records the end of one step together with the beginning of the next. After a crash any
replica takes the run over and goes on with the first step that is not recorded as done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

from libs import context, db, errors, ids, lease, resilience, telemetry
from libs.clock import Clock
from libs.lease import Work
from libs.signals import Signals, Subscription
from services.run import store
from services.run.domain import (
    EXECUTE_WORKFLOW,
    SEND_WEBHOOKS,
    Failure,
    Outcome,
    Run,
    RunState,
    StepState,
    interruption,
    to_compensate,
    what_was_not_undone,
)
from services.run.record import announce, end_run, end_step, note
from services.run.steering import go_on
from services.run.steps import Paused, Steps, StepWork

T = TypeVar("T")
log = logging.getLogger(__name__)
COMPENSATION_TRIES = 3
INTERRUPT_CHECK_S = 5.0
# Errors that say nothing about the run: this replica cannot go on, one that takes it over can.
OURS = {"LEASE_LOST", "STATE_MOVED_ON", "NOT_ENDED", "DATABASE_UNAVAILABLE"}


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
        try:
            async with self._signals.subscribe(store.topic(work.key)) as changes:
                run = await self._db.read(lambda tx: store.get(tx, work.key))
                outcome = run.ending or await self._forward(run, work, changes)
        except Interrupted as interrupted:
            outcome = interrupted.outcome
        except Paused:
            await self._rest(work)
            return
        except errors.PodiumError as error:
            if error.reason in OURS:
                raise
            outcome = Outcome(RunState.FAILED, failure=_failure(error))
        if outcome.state is not RunState.COMPLETED:
            await self._compensate(work, await self._turn_back(work, outcome))
        await self._finish(work, outcome)

    async def _forward(self, run: Run, work: Work, changes: Subscription) -> Outcome:
        """The steps in their order; each commit ends one and begins the next."""
        finished: tuple[StepWork, dict[str, Any]] | None = None
        for step in self._steps.table:
            if run.step(step.name).state in (StepState.COMPLETED, StepState.SKIPPED):
                continue
            run = await self._record(work, finished, step)
            finished = None
            if step.wanted(run):
                with telemetry.span(f"saga.{step.name}"):
                    finished = (step, await self._interruptible(run, step.execute(run), changes))
        run = await self._still_wanted(work.key)
        return await self._interruptible(run, self._steps.outcome(run), changes)

    async def _record(
        self, work: Work, finished: tuple[StepWork, dict[str, Any]] | None, begun: StepWork
    ) -> Run:
        def unit(tx: db.Tx) -> tuple[Run, Outcome | None]:
            lease.guarded(tx, store.runs, "run_id", work.key, work.fence)
            run = store.get(tx, work.key)
            if finished is not None:
                step, result = finished
                end_step(tx, run, step.name, StepState.COMPLETED, **result)
            # A deadline that passed while nobody held the run is seen here, before anything begins.
            outcome = interruption(run, tx.now)
            if outcome is None:
                _begin(tx, run, begun)
            return replace(store.get(tx, work.key), fence=work.fence), outcome

        run, outcome = await self._db.write(unit)
        if outcome is not None:
            raise Interrupted(outcome)
        return run

    async def _rest(self, work: Work) -> None:
        """The workflow run has come to rest: so does the run, without a lease, until woken."""

        def unit(tx: db.Tx) -> None:
            lease.guarded(tx, store.runs, "run_id", work.key, work.fence)
            run = store.get(tx, work.key)
            if run.pause_requested and run.state is RunState.RUNNING:
                store.enter(tx, run.run_id, RunState.PAUSED)
                note(tx, run.run_id, "run.paused", {})
            lease.release(tx, store.runs, "run_id", work.key, work.fence)
            tx.notify(store.topic(work.key))
            # It may have been resumed or cancelled meanwhile; then it is due at once.
            tx.notify(store.DUE_TOPIC)

        await self._db.write(unit)
        work.released = True

    async def _interruptible(self, run: Run, work: Awaitable[T], changes: Subscription) -> T:
        """Waits for the work, or raises Interrupted as soon as the run is to stop.

        The run was read within the subscription and may go on as it was then.
        """
        task = asyncio.ensure_future(work)
        try:
            while True:
                left_s = (run.expires_at - self._clock.now()).total_seconds()
                waiting = asyncio.ensure_future(
                    changes.wait(min(max(left_s, 0.05), INTERRUPT_CHECK_S))
                )
                await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if task.done():
                    return task.result()
                await self._still_wanted(run.run_id)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _still_wanted(self, run_id: str) -> Run:
        """The run as it stands; raises Interrupted when it is to stop."""

        def query(tx: db.Tx) -> tuple[Run, Outcome | None]:
            run = store.get(tx, run_id)
            return run, interruption(run, tx.now)

        run, outcome = await self._db.read(query)
        if outcome is not None:
            raise Interrupted(outcome)
        return run

    async def _compensate(self, work: Work, run: Run) -> None:
        """Undoes what was done, newest first."""
        by_name = {step.name: step for step in self._steps.table}
        for recorded in to_compensate(run):
            step = by_name[recorded.name]
            try:
                await self._undo(step, run)
            except errors.PodiumError as error:
                if error.reason in OURS:
                    raise
                await self._record_compensation(work, step.name, error)
            else:
                await self._record_compensation(work, step.name, None)

    async def _undo(self, step: StepWork, run: Run) -> None:
        for attempt in range(1, COMPENSATION_TRIES + 1):
            try:
                with telemetry.span(f"saga.compensate_{step.name}"):
                    return await step.compensate(run)
            except (errors.NotFound, errors.FailedPrecondition):
                # What is to be undone is gone already.
                return None
            except errors.PodiumError as error:
                if attempt == COMPENSATION_TRIES or error.reason in OURS:
                    raise
                await self._clock.sleep(0.2 * 2**attempt)
        return None

    async def _turn_back(self, work: Work, outcome: Outcome) -> Run:
        """Writes down how the run will end; whoever takes it over goes on undoing, never forward.

        Marks the step that ended the run; one whose effect is uncertain is left to be undone.
        """
        definite = outcome.state in (RunState.FAILED, RunState.TERMINATED) and (
            outcome.failure is None or outcome.failure.category != resilience.Category.TRANSIENT
        )

        def unit(tx: db.Tx) -> Run:
            lease.guarded(tx, store.runs, "run_id", work.key, work.fence)
            run = store.get(tx, work.key)
            if run.ending is not None:
                return run
            store.assign(tx, run.run_id, ending=outcome)
            note(tx, run.run_id, "saga.turned_back", outcome.as_dict())
            for step in run.steps:
                if step.state is StepState.RUNNING and definite:
                    why = outcome.failure.message if outcome.failure else ""
                    end_step(tx, run, step.name, StepState.FAILED, why)
            return store.get(tx, work.key)

        return await self._db.write(unit)

    async def _record_compensation(
        self, work: Work, name: str, error: errors.PodiumError | None
    ) -> None:
        def unit(tx: db.Tx) -> None:
            lease.guarded(tx, store.runs, "run_id", work.key, work.fence)
            run = store.get(tx, work.key)
            if error is None:
                end_step(tx, run, name, StepState.COMPENSATED)
                return
            end_step(tx, run, name, StepState.COMPENSATION_FAILED, error.message)
            alert_id, reason = ids.new("alrt"), "COMPENSATION_FAILED"
            about = {"run_id": work.key, "step": name, "message": error.message}
            store.add_alert(tx, alert_id, "error", reason, work.key, about)
            announce(
                tx, work.key, "alert.raised", {"alert_id": alert_id, "reason": reason, **about}
            )

        await self._db.write(unit)

    async def _finish(self, work: Work, outcome: Outcome) -> None:
        """The commit that ends the run: its state, its last events, its lease.

        The final event is in the outbox of this commit, which is all that send_webhooks does; so
        that step is done exactly when the run has ended, and never has to be undone.
        """

        def unit(tx: db.Tx) -> None:
            lease.guarded(tx, store.runs, "run_id", work.key, work.fence)
            run = store.get(tx, work.key)
            if outcome.state is RunState.COMPLETED:
                end_step(tx, run, EXECUTE_WORKFLOW, StepState.COMPLETED)
            store.set_step(tx, work.key, SEND_WEBHOOKS, StepState.RUNNING)
            store.set_step(tx, work.key, SEND_WEBHOOKS, StepState.COMPLETED)
            end_run(tx, run, outcome, what_was_not_undone(run))
            lease.release(tx, store.runs, "run_id", work.key, work.fence)

        await self._db.write(unit)
        work.released = True


def _begin(tx: db.Tx, run: Run, step: StepWork) -> None:
    """A step begins, or is passed over; the first one begins the run."""
    if run.state is RunState.QUEUED:
        store.enter(tx, run.run_id, RunState.RUNNING, started_at=tx.now)
        announce(tx, run.run_id, "run.started", {"title": run.title})
    if run.state is RunState.PAUSED:
        go_on(tx, run, "its workflow run has ended")
    if not step.wanted(run):
        store.set_step(tx, run.run_id, step.name, StepState.SKIPPED)
        note(tx, run.run_id, "saga.step_skipped", {"step": step.name})
    elif run.step(step.name).state is not StepState.RUNNING:
        store.set_step(tx, run.run_id, step.name, StepState.RUNNING)
        note(tx, run.run_id, "saga.step_started", {"step": step.name})


def _failure(error: errors.PodiumError) -> Failure:
    message = error.message
    if error.violations:
        message = "; ".join(f"{field}: {why}" for field, why in error.violations)
    return Failure(error.reason, message, category=resilience.classify(error))
