"""What a workflow run has done, written down: rows and events, as few commits as possible.

Beginnings and ends are gathered and committed together at the last moment before something takes
effect outside: the end of one block and the beginning of the next share a commit.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from libs import lease
from libs.clock import Clock
from libs.db import Database, Tx
from libs.lease import Work

from .domain import (
    EVENT_OUTPUT_BYTES,
    FINAL_EVENT_OUTPUT_BYTES,
    BlockRun,
    BlockState,
    Failure,
    RunState,
    WorkflowRun,
    for_event,
)
from .store import blocks, runs, schema

LARGEST_BATCH = 200


class Paused(Exception):
    """The workflow run rests at a block boundary until it is resumed."""


class _PauseWanted(Exception):
    """Rolls back the unit that was about to begin a block."""


class Journal:
    """The record of one workflow run, kept under its lease."""

    def __init__(
        self, database: Database, clock: Clock, work: Work, run: WorkflowRun, sequence: int
    ) -> None:
        self._database = database
        self._clock = clock
        self._work = work
        self._run = run
        self._sequence = sequence
        self._pending: list[Callable[[Tx], None]] = []
        # Where in it the beginning of a block stands that has not been committed.
        self._begun_at: int | None = None

    @property
    def is_full(self) -> bool:
        """Whether so much is gathered that it should be committed although nothing waits."""
        return len(self._pending) >= LARGEST_BATCH

    def begin(self, block: BlockRun) -> None:
        """A block begins."""
        block.started_at = self._clock.now()
        sequence = self._next()
        self._begun_at = len(self._pending)
        # A block that ends before the next commit is written once, as it then is.
        self._pending.append(lambda tx: blocks.begin_block(tx, self._run, sequence, block))
        self._publish("block.started", _identity(block), block)

    def end(self, block: BlockRun) -> None:
        """A block has ended."""
        block.ended_at = self._clock.now()
        self._begun_at = None
        self._pending.append(lambda tx: blocks.update_block(tx, self._run, block))
        self._publish("block.finished", _ending(block), block)

    def skip(self, block: BlockRun) -> None:
        """A block is passed over: its row is written in its terminal state."""
        block.state = BlockState.SKIPPED
        block.started_at = block.ended_at = self._clock.now()
        sequence = self._next()
        self._pending.append(lambda tx: blocks.begin_block(tx, self._run, sequence, block))
        self._publish("block.finished", _ending(block), block)

    async def commit(self) -> None:
        """Write down what is gathered. Raises Aborted when the lease was lost."""
        if self._pending:
            await self._write(lambda _tx: None)

    async def commit_begun(self) -> None:
        """Write down what is gathered, with the beginning of a block, before it takes effect.

        This is the block boundary: when the run is to pause by then, the block has not begun and
        Paused is raised. The commit itself looks, so a pause that was accepted before it counts.
        """
        pending, begun_at = self._pending, self._begun_at
        try:
            await self._write(self._unless_pausing if begun_at is not None else lambda _tx: None)
        except _PauseWanted:
            self._pending, self._sequence = pending[:begun_at], self._sequence - 1
            if await self._pause():
                raise Paused from None
            self._pending, self._sequence = pending[begun_at:], self._sequence + 1
            await self.commit()

    def _unless_pausing(self, tx: Tx) -> None:
        if runs.is_to_pause(tx, self._run):
            raise _PauseWanted

    async def finish(
        self, state: RunState, output: dict[str, Any] | None, failure: Failure | None
    ) -> None:
        """The workflow run has ended; its state, its last blocks and the event are one commit."""

        def end(tx: Tx) -> None:
            if runs.end_run(tx, self._run, state, output, failure):
                publish_end(tx, self._run, state, output, failure)

        await self._write(end)
        self._work.released = True

    async def _pause(self) -> bool:
        """Come to rest, giving the lease back; False when the pause was taken back meanwhile."""

        def unit(tx: Tx) -> None:
            self._work.released = runs.pause_run(tx, self._run)
            if self._work.released:
                publish_turn(tx, self._run, "workflow_run.paused")

        await self._write(unit)
        return self._work.released

    async def rest(self, until: datetime) -> None:
        """Nothing to do before a moment: give the lease back until then, or for a pause."""

        def unit(tx: Tx) -> None:
            if runs.pause_run(tx, self._run):
                publish_turn(tx, self._run, "workflow_run.paused")
            else:
                runs.rest(tx, self._run, until)

        await self._write(unit)
        self._work.released = True

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _publish(self, type_: str, data: dict[str, Any], block: BlockRun) -> None:
        self._pending.append(
            lambda tx: _publish(tx, self._run, type_, data, block.task_id),
        )

    async def _write(self, last: Callable[[Tx], None]) -> None:
        pending, self._pending, self._begun_at = self._pending, [], None

        def unit(tx: Tx) -> None:
            work = self._work
            lease.guarded(tx, schema.workflow_runs, schema.RUN_KEY, work.key, work.fence)
            for write in pending:
                write(tx)
            last(tx)

        await self._database.write(unit)


def publish_end(
    tx: Tx,
    run: WorkflowRun,
    state: RunState,
    output: dict[str, Any] | None,
    failure: Failure | None,
) -> None:
    """Announces the end of a workflow run in the commit that makes it so."""
    data: dict[str, Any] = {"state": str(state), **for_event(output, FINAL_EVENT_OUTPUT_BYTES)}
    if failure is not None:
        data["failure"] = failure.as_dict()
    _publish(tx, run, "workflow_run.finished", data, "")


def publish_turn(tx: Tx, run: WorkflowRun, type_: str) -> None:
    """Announces that a workflow run has come to rest, or goes on."""
    _publish(tx, run, type_, {}, "")


def _publish(tx: Tx, run: WorkflowRun, type_: str, data: dict[str, Any], task_id: str) -> None:
    tx.publish(
        type_,
        data,
        organization_id=run.organization_id,
        run_id=run.run_id,
        workflow_run_id=run.workflow_run_id,
        task_id=task_id,
    )


def _identity(block: BlockRun) -> dict[str, Any]:
    return {
        "block_path": block.block_path,
        "label": block.label,
        "kind": block.kind,
        "attempt": block.attempt,
    }


def _ending(block: BlockRun) -> dict[str, Any]:
    assert block.started_at is not None
    assert block.ended_at is not None
    data = _identity(block) | {
        "state": str(block.state),
        "duration_ms": round((block.ended_at - block.started_at).total_seconds() * 1000),
        **for_event(block.output, EVENT_OUTPUT_BYTES),
    }
    if block.summary:
        data["summary"] = block.summary
    if block.failure is not None:
        data["failure"] = block.failure.as_dict()
    if block.will_retry:
        data["will_retry"] = True
    if block.artifacts:
        data["artifacts"] = block.artifacts[:20]
    return data
