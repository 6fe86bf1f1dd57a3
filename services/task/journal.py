"""The record of one task's actions: in memory for the agent, in the store for everybody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from libs.clock import Clock
from libs.db import Database, Tx
from libs.lease import Work
from services.task import store
from services.task.domain import (
    ActionRecord,
    ActionState,
    Failing,
    Outcome,
    Phase,
    Reason,
    Task,
    TaskFailure,
    browser_lost,
)


class Journal:
    """Writes actions down as they begin and end; an end shares the commit of what follows."""

    def __init__(self, task: Task, work: Work, database: Database, clock: Clock) -> None:
        self._task = task
        self._work = work
        self._db = database
        self._clock = clock
        self._unsaved: dict[int, ActionRecord] = {}
        self._began = 0.0
        self.records: list[ActionRecord] = []
        self.generation = task.browser_generation

    async def load(self) -> None:
        """Read what earlier agents recorded."""
        task = self._task
        self.records = await self._db.read(
            lambda tx: store.actions_of(tx, task.organization_id, task.task_id)
        )

    def attached(self, generation: int) -> None:
        """The task acts in this browser of its session. Raises TaskFailure when what it has done
        so far was done in an earlier one: its page is gone.
        """
        if self.records and self.generation and generation != self.generation:
            lost = browser_lost(Reason.BROWSER_CRASHED).failing
            assert lost is not None
            raise TaskFailure(Reason.BROWSER_CRASHED, lost.message)
        self.generation = generation

    @property
    def interrupted(self) -> ActionRecord | None:
        """The action that was under way when the last agent stopped."""
        last = self.records[-1] if self.records else None
        return last if last is not None and not last.is_over else None

    def of(self, phase: Phase) -> list[ActionRecord]:
        """The actions of a phase that have ended."""
        return [r for r in self.records if r.phase is phase and r.is_over]

    async def began(
        self, kind: str, params: dict[str, Any], phase: Phase, planner: str, url: str, mark: str
    ) -> ActionRecord:
        """An action begins; one that was interrupted begins again under its number."""
        again = self.interrupted
        record = ActionRecord(
            number=again.number if again else len(self.records) + 1,
            kind=kind,
            params=params,
            phase=phase,
            planner=planner,
            state=ActionState.RUNNING,
            started_at=self._clock.now(),
            page_url=url,
            page_mark=mark,
        )
        self._keep(record)
        self._began = self._clock.monotonic()
        await self.flush()
        return record

    def ended(
        self, record: ActionRecord, *, output: Any = None, failing: Failing | None = None
    ) -> None:
        """An action ends, well or not."""
        state = ActionState.FAILED if failing else ActionState.COMPLETED
        took_ms = round((self._clock.monotonic() - self._began) * 1000)
        self._keep(
            replace(record, state=state, duration_ms=took_ms, output=output, failing=failing)
        )

    def assumed(self, record: ActionRecord, why: str) -> None:
        """An interrupted action counts as done."""
        self._keep(replace(record, state=ActionState.COMPLETED, output={"assumed": why}))

    async def flush(self) -> None:
        """Write down what is not written yet."""
        unsaved = self._take()
        if unsaved:
            await self._db.write(lambda tx: self._save(tx, unsaved))

    async def finish(self, outcome: Outcome) -> None:
        """End the task, in one commit with what is not written yet."""
        current = self.interrupted
        if current is not None:
            self._keep(replace(current, state=ActionState.INTERRUPTED, failing=outcome.failing))
        unsaved = self._take()

        def unit(tx: Tx) -> None:
            self._save(tx, unsaved)
            store.finish(tx, self._task, self._work.fence, outcome)

        await self._db.write(unit)
        self._work.released = True

    def _save(self, tx: Tx, records: list[ActionRecord]) -> None:
        store.save_actions(tx, self._task, self._work.fence, records, self.generation)

    def _keep(self, record: ActionRecord) -> None:
        self.records[record.number - 1 :] = [record]
        self._unsaved[record.number] = record

    def _take(self) -> list[ActionRecord]:
        unsaved, self._unsaved = list(self._unsaved.values()), {}
        return unsaved
