"""workflow_engine_crashed: what an engine makes sure of before it goes on for a dead one."""

from __future__ import annotations

from libs import lease
from libs.db import Database, Tx
from libs.lease import Work
from libs.recovery import Failure, Recoveries, Recovery, Step, StepFailed, Strategy

from .domain import BlockRun, WorkflowRun
from .store import blocks, runs, schema


class Takeover:
    """The steps of taking a workflow run over from an engine that let its lease run out."""

    def __init__(self, database: Database, recoveries: Recoveries) -> None:
        self._database = database
        self._recoveries = recoveries

    async def record(self, work: Work, run: WorkflowRun) -> Recovery:
        """Carries the steps out; the run then goes on by itself, from its safe point."""
        attempt = _Attempt(self._database, work, run)
        strategy = Strategy(
            Failure.WORKFLOW_ENGINE_CRASHED,
            (
                Step("take_over_lease", attempt.hold),
                Step("read_recorded_blocks", attempt.read),
                Step("find_safe_point", attempt.find),
            ),
            verify=attempt.verify,
        )
        reason = f"{work.taken_from} let its lease run out"
        return await self._recoveries.attempt(strategy, subject=run.workflow_run_id, reason=reason)


class _Attempt:
    """One take-over."""

    def __init__(self, database: Database, work: Work, run: WorkflowRun) -> None:
        self._database = database
        self._work = work
        self._run = run
        self._recorded: list[BlockRun] = []

    async def hold(self) -> str:
        """The lease is ours, under a fence that refuses whatever the dead one may still write."""
        work = self._work

        def unit(tx: Tx) -> None:
            lease.guarded(tx, schema.workflow_runs, schema.RUN_KEY, work.key, work.fence)

        await self._database.write(unit)
        return f"fence {work.fence}"

    async def read(self) -> str:
        """What the dead one has recorded."""
        run = self._run
        self._recorded = await self._database.read(
            lambda tx: blocks.blocks_of(tx, run.organization_id, run.workflow_run_id)
        )
        over = sum(block.is_over for block in self._recorded)
        return f"{over} of {len(self._recorded)} blocks that began have ended"

    async def find(self) -> str:
        """Where the run goes on."""
        running = [block for block in self._recorded if not block.is_over]
        if running:
            return f"block {running[-1].block_path}, attempt {running[-1].attempt}, was under way"
        if self._recorded:
            return f"after block {self._recorded[-1].block_path}"
        return "at its first block"

    async def verify(self) -> str:
        """The run is still to be carried out, and nobody else does."""
        run = self._run
        found = await self._database.read(
            lambda tx: runs.get_run(tx, run.organization_id, run.workflow_run_id)
        )
        if found is None or found.is_over:
            raise StepFailed("the workflow run has ended meanwhile")
        return await self.hold()
