"""The agent: takes tasks by lease and carries them out, one recorded action after the other.

Any agent can go on where another stopped: everything it needs is in the record and on the page.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

from libs import context, errors, telemetry
from libs.clock import Clock
from libs.db import Database
from libs.lease import Work
from libs.signals import Signals
from services.task import store
from services.task.domain import Failing, Outcome, Task, TaskState
from services.task.errand import Errand, Tools
from services.task.journal import Journal

log = logging.getLogger(__name__)
CANCEL_SWEEP_S = 1.0


class Agent:
    """Carries out claimed tasks, each until it ends, is stopped, or the lease is lost."""

    def __init__(self, tools: Tools, database: Database, signals: Signals, clock: Clock) -> None:
        self._tools = tools
        self._db = database
        self._signals = signals
        self._clock = clock

    async def perform(self, work: Work) -> None:
        """One task. Cancelled from outside, it leaves the task as it is for the next agent."""
        task = store.task_of(work.row)
        origin = work.row.origin
        with (
            context.bind(
                request_id=origin["request_id"],
                organization_id=task.organization_id,
                run_id=task.run_id,
                workflow_run_id=task.workflow_run_id,
                task_id=task.task_id,
            ),
            telemetry.continued(origin["traceparent"], "task", block_path=task.block_path),
        ):
            journal = Journal(task, work, self._db, self._clock)
            await journal.finish(await self._outcome(task, journal))

    async def _outcome(self, task: Task, journal: Journal) -> Outcome:
        if task.cancel_reason is not None:
            return store.canceled(task.cancel_reason)
        await journal.load()
        errand = Errand(task, journal, self._tools)
        doing = asyncio.create_task(errand.run(), name=f"errand-{task.task_id}")
        watching = asyncio.create_task(self._interrupted(task), name=f"watch-{task.task_id}")
        try:
            await asyncio.wait(
                {doing, watching},
                timeout=self._left_s(task, self._clock.now()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if doing.done():
                return self._result(doing)
            if watching.done():
                return watching.result()
            return _timed_out(task, journal)
        finally:
            doing.cancel()
            watching.cancel()
            await asyncio.gather(doing, watching, return_exceptions=True)

    def _result(self, doing: asyncio.Task[Outcome]) -> Outcome:
        try:
            return doing.result()
        except errors.PodiumError:
            # A neighbour or the database is away: the task stays due and is taken up again.
            raise
        except Exception:
            log.exception("an errand failed unexpectedly")
            why = "something went wrong on our side while the task was carried out"
            return Outcome(TaskState.FAILED, failing=Failing("INTERNAL", why))

    async def _interrupted(self, task: Task) -> Outcome:
        async with self._signals.subscribe(store.follow_topic(task.task_id)) as changed:
            while True:
                outcome = await self._db.read(lambda tx: store.interruption(tx, task.task_id))
                if outcome is not None:
                    return outcome
                await changed.wait(CANCEL_SWEEP_S)

    @staticmethod
    def _left_s(task: Task, now: datetime) -> float:
        return max((task.deadline - now).total_seconds(), 0.0)


def _timed_out(task: Task, journal: Journal) -> Outcome:
    during = ""
    if journal.records:
        during = f" (during action {len(journal.records)}, {journal.records[-1].kind})"
    why = f"the task did not end within {task.spec.timeout_s:g} s{during}"
    return Outcome(TaskState.TIMED_OUT, failing=Failing("TIMED_OUT", why))
