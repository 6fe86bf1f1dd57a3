"""The durable stepper: takes started workflow runs by lease and carries them out.

Any replica may take any run; what is recorded decides where it goes on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from libs import context, errors, telemetry
from libs.clock import Clock
from libs.db import Database
from libs.lease import Work
from libs.recovery import Recoveries
from libs.signals import Signals
from libs.worker import Worker

from .definitions import Definitions
from .domain import BlockRun, Failure, RunState, WorkflowRun
from .execution import Canceled, Execution, Failed, Resting, Tools
from .journal import Journal, Paused
from .store import blocks, runs, schema
from .takeover import Takeover

DUE = "workflow.due"
CANCEL = "workflow.cancel"
LOOK_EVERY_S = 1.0
log = logging.getLogger(__name__)


class Engine:
    """Carries out the workflow runs that this replica holds."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        owner: str,
        definitions: Definitions,
        tools: Tools,
        *,
        recoveries: Recoveries,
        lease_ttl_s: float = 4.0,
        sweep_s: float = 0.5,
        concurrency: int = 64,
    ) -> None:
        self._database = database
        self._signals = signals
        self._clock: Clock = tools.clock
        self._definitions = definitions
        self._tools = tools
        self._takeover = Takeover(database, recoveries)
        self._cancels: dict[str, asyncio.Event] = {}
        self._worker = Worker(
            "workflow-engine",
            database=database,
            signals=signals,
            clock=tools.clock,
            owner=owner,
            topic=DUE,
            table=schema.workflow_runs,
            key_column=schema.RUN_KEY,
            due=runs.is_due,
            perform=self._perform,
            concurrency=concurrency,
            ttl_s=lease_ttl_s,
            sweep_s=sweep_s,
            order_by=schema.workflow_runs.c.started_at,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._worker.run(), name="engine-worker")
            group.create_task(self._watch_cancels(), name="engine-cancels")

    async def drain(self) -> None:
        """Interrupt what is running and hand it to the other replicas."""
        await self._worker.drain()

    async def _perform(self, work: Work) -> None:
        run = runs.as_run(work.row)
        with (
            context.bind(
                organization_id=run.organization_id,
                request_id=run.request_id,
                run_id=run.run_id,
                workflow_run_id=run.workflow_run_id,
            ),
            telemetry.continued(run.traceparent, "workflow run", fence=work.fence),
        ):
            cancel = self._cancels.setdefault(run.workflow_run_id, asyncio.Event())
            if run.cancel_reason is not None:
                cancel.set()
            try:
                await self._carry_out(work, run, cancel)
            finally:
                self._cancels.pop(run.workflow_run_id, None)

    async def _carry_out(self, work: Work, run: WorkflowRun, cancel: asyncio.Event) -> None:
        if work.taken_from:
            await self._takeover.record(work, run)
        recorded = await self._database.read(
            lambda tx: blocks.blocks_of(tx, run.organization_id, run.workflow_run_id)
        )
        journal = Journal(self._database, self._clock, work, run, len(recorded))
        try:
            execution = await self._execution(run, recorded, journal, cancel)
            output = await execution.carry_out()
        except Paused:
            log.info("workflow run %s rests until it is resumed", run.workflow_run_id)
        except Resting as resting:
            await journal.rest(resting.until)
        except Canceled:
            reason = await self._reason(run)
            failure = Failure("CANCELED", reason or "the run was canceled")
            await journal.finish(RunState.CANCELED, None, failure)
        except Failed as failed:
            state = RunState.TERMINATED if failed.terminates else RunState.FAILED
            await journal.finish(state, None, failed.failure)
        else:
            await journal.finish(RunState.COMPLETED, output, None)

    async def _execution(
        self,
        run: WorkflowRun,
        recorded: list[BlockRun],
        journal: Journal,
        cancel: asyncio.Event,
    ) -> Execution:
        try:
            definition = await self._definitions.of_run(run)
        except errors.Invalid as error:
            raise Failed(
                Failure("DEFINITION_INVALID", error.message, category="configuration")
            ) from None
        if definition is None:
            why = "the version this run is pinned to is gone"
            raise Failed(Failure("DEFINITION_INVALID", why, category="system"))
        return Execution(run, definition, recorded, journal, self._tools, cancel)

    async def _reason(self, run: WorkflowRun) -> str:
        key = run.workflow_run_id
        reasons = await self._database.read(lambda tx: runs.cancel_reasons(tx, [key]))
        return reasons.get(key, "")

    async def _watch_cancels(self) -> None:
        """Tell running executions that they are to stop: on a hint, and by looking every second."""
        async with self._signals.subscribe(CANCEL) as hints:
            while True:
                await hints.wait(LOOK_EVERY_S)
                try:
                    await self._spread_cancels()
                except errors.PodiumError as error:
                    log.warning("could not look for cancels: %s", error)

    async def _spread_cancels(self) -> None:
        active = [key for key, event in self._cancels.items() if not event.is_set()]
        if not active:
            return
        found: dict[str, Any] = await self._database.read(
            lambda tx: runs.cancel_reasons(tx, active)
        )
        for key in found:
            if key in self._cancels:
                self._cancels[key].set()
