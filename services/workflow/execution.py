"""One workflow run, carried out by one replica: block by block, resuming after what is recorded."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from libs.clock import Clock

from . import templates
from .blocks.contract import BlockContext, BlockFailed, Outcome, Planning
from .document import Definition, Step
from .domain import (
    MAX_OUTPUT_BYTES,
    BlockRun,
    BlockState,
    Failure,
    WorkflowRun,
    backoff_s,
    may_retry,
    size_of,
    step_key,
)
from .journal import Journal
from .rendering import misread, rendered_params
from .tasks import Tasks

# A pause longer than this is a timer on disk; a shorter one holds the lease.
LONGEST_HELD_PAUSE_S = 5.0
# A task keeps the time itself and tells more about where it stood; it is given a moment for that.
TASK_GRACE_S = 5.0
log = logging.getLogger(__name__)


class Failed(Exception):
    """The workflow cannot go on: a block failed and nothing says that it may."""

    def __init__(self, failure: Failure, *, terminates: bool = False) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.terminates = terminates


class Canceled(Exception):
    """Somebody asked the workflow run to stop."""


class Resting(Exception):
    """There is nothing to do before a moment."""

    def __init__(self, until: datetime) -> None:
        super().__init__(until)
        self.until = until


@dataclass(frozen=True, slots=True)
class Tools:
    """What blocks work with, shared by all executions of a replica."""

    clock: Clock
    tasks: Tasks
    http: aiohttp.ClientSession


@dataclass(frozen=True, slots=True)
class Level:
    """Where a list of blocks stands: its path, the values it sees, and until when it may last."""

    path: str
    values: dict[str, Any]
    until: datetime | None = None

    def path_of(self, label: str) -> str:
        """The path of a block of this list."""
        return f"{self.path}.{label}" if self.path else label


class Execution:
    """The carrying out of one workflow run."""

    def __init__(
        self,
        run: WorkflowRun,
        definition: Definition,
        recorded: list[BlockRun],
        journal: Journal,
        tools: Tools,
        cancel: asyncio.Event,
    ) -> None:
        self._run = run
        self._definition = definition
        # Attempts come in order, so the last one of each path stays.
        self._recorded = {block.block_path: block for block in recorded}
        self._deaths = Counter(block.block_path for block in recorded if block.lost_its_browser)
        self._journal = journal
        self._tools = tools
        self._cancel = cancel

    async def carry_out(self) -> dict[str, Any]:
        """Run all blocks and answer the output; Failed, Canceled, Paused, Resting, Aborted."""
        run = self._run
        values = {
            "parameters": run.parameters,
            "blocks": {},
            "run": {"run_id": run.run_id, "workflow_run_id": run.workflow_run_id},
        }
        level = Level("", values)
        outputs = await self._sequence(self._definition.steps, level)
        return self._output(outputs, values)

    async def _sequence(self, steps: tuple[Step, ...], level: Level) -> dict[str, Any]:
        """Run blocks one after the other; their outputs by label."""
        outputs: dict[str, Any] = {}
        for step in steps:
            block_run = await self._step(step, level)
            level.values["blocks"][step.label] = block_run.seen_by_templates()
            outputs[step.label] = block_run.output
        return outputs

    async def _step(self, step: Step, level: Level) -> BlockRun:
        path = level.path_of(step.label)
        last = self._recorded.get(path)
        if last is None or not last.is_over:
            block_run = await self._begin(step, path, last, level)
        else:
            block_run = last
        while block_run.will_retry:
            block_run = await self._again(step, block_run, level)
        if block_run.state is BlockState.FAILED and step.written.on_error == "fail":
            assert block_run.failure is not None
            raise Failed(block_run.failure)
        return block_run

    async def _begin(self, step: Step, path: str, last: BlockRun | None, level: Level) -> BlockRun:
        """The first attempt, or one that another replica began and did not end."""
        if last is not None:
            return await self._resume(step, last, level)
        if self._cancel.is_set():
            raise Canceled
        block_run = _new(step, path, 1)
        try:
            wanted = step.written.when is None or templates.holds(step.written.when, level.values)
        except templates.TemplateError as error:
            self._journal.begin(block_run)
            return self._fail(step, block_run, misread(f"when: {error}"))
        if not wanted:
            self._journal.skip(block_run)
            if self._journal.is_full:
                await self._journal.commit()
            return block_run
        return await self._attempt(step, block_run, level)

    async def _resume(self, step: Step, last: BlockRun, level: Level) -> BlockRun:
        policy = "safe" if step.block.resumes_itself else step.written.resume
        if policy == "safe" or self._cancel.is_set():
            return await self._attempt(step, last, level, resumed=True)
        why = BlockFailed("INTERRUPTED", "the block was interrupted", retryable=False)
        if step.block.needs_browser:
            await self._tools.tasks.cancel(self._key(last), "the block was interrupted")
        self._fail(step, last, why)
        if policy == "fail":
            return last
        return await self._attempt(step, _new(step, last.block_path, last.attempt + 1), level)

    async def _again(self, step: Step, failed: BlockRun, level: Level) -> BlockRun:
        """The attempt after one that failed, when the pause between them is over."""
        assert failed.ended_at is not None
        await self._journal.commit()
        # After a death the session has another browser by now: there is nothing to wait for.
        pause_s = 0.0 if failed.lost_its_browser else backoff_s(failed.attempt)
        due = failed.ended_at + timedelta(seconds=pause_s)
        await self._unless_canceled(self._pause_until(due), None)
        return await self._attempt(step, _new(step, failed.block_path, failed.attempt + 1), level)

    async def _attempt(
        self, step: Step, block_run: BlockRun, level: Level, *, resumed: bool = False
    ) -> BlockRun:
        """One attempt at a block, from its beginning to its recorded end."""
        try:
            params = rendered_params(step, level.values)
            if not resumed:
                block_run.plan = self._plan(step, params, level.values)
                self._journal.begin(block_run)
            outcome = await self._perform(step, block_run, params, level)
        except BlockFailed as why:
            if block_run.started_at is None:
                self._journal.begin(block_run)
            return self._fail(step, block_run, why)
        except Failed as inner:
            return self._end_container(step, block_run, inner)
        except Canceled:
            block_run.state = BlockState.CANCELED
            self._journal.end(block_run)
            raise
        block_run.state = BlockState.COMPLETED
        block_run.output, block_run.summary = outcome.output, outcome.summary
        block_run.task_id = outcome.task_id or block_run.task_id
        block_run.artifacts = outcome.artifacts
        self._journal.end(block_run)
        return block_run

    def _plan(self, step: Step, params: Any, values: dict[str, Any]) -> Any:
        def holds(condition: str) -> bool:
            try:
                return templates.holds(condition, values)
            except templates.TemplateError as error:
                raise misread(f"condition: {error}") from None

        return step.block.plan(params, Planning(self._tools.clock.now(), holds))

    async def _perform(self, step: Step, block_run: BlockRun, params: Any, level: Level) -> Outcome:
        assert block_run.started_at is not None
        lasts_s = step.timeout_s + block_run.paused_ms / 1000
        until = block_run.started_at + timedelta(seconds=lasts_s)
        until = min(until, level.until) if level.until is not None else until
        context = self._context(step, block_run, level, until)
        if step.block.is_container:
            return await step.block.run(params, context)
        await self._journal.commit_begun()
        grace_s = TASK_GRACE_S if step.block.needs_browser else 0.0
        try:
            return await self._unless_canceled(
                self._guarded(step, params, context),
                context.timeout_s + grace_s,
            )
        except TimeoutError:
            await self._stop_task(step, block_run, "the block's time is over")
            seconds = f"{step.timeout_s:g} s" if until != level.until else "its loop's time"
            why = f"the block did not end within {seconds}"
            raise BlockFailed("TIMED_OUT", why, category="transient") from None
        except Canceled:
            await self._stop_task(step, block_run, "the run was canceled")
            raise

    def _context(
        self, step: Step, block_run: BlockRun, level: Level, until: datetime
    ) -> BlockContext:
        def note_task(task_id: str) -> None:
            block_run.task_id = task_id

        async def sequence(branch: str, part: str, names: dict[str, Any]) -> dict[str, Any]:
            if self._tools.clock.now() >= until:
                why = f"the {step.block.kind} did not end within {step.timeout_s:g} s"
                raise BlockFailed("TIMED_OUT", why, category="transient", retryable=False)
            path = f"{block_run.block_path}.{part}" if part else block_run.block_path
            values = {**level.values, "blocks": dict(level.values["blocks"]), **names}
            return await self._sequence(step.branches[branch], Level(path, values, until))

        return BlockContext(
            step_key=self._key(block_run),
            block_path=block_run.block_path,
            timeout_s=max(0.0, (until - self._tools.clock.now()).total_seconds()),
            browser_session_id=self._run.browser_session_id,
            plan=block_run.plan,
            clock=self._tools.clock,
            tasks=self._tools.tasks,
            http=self._tools.http,
            sequence=sequence,
            pause_until=self._pause_until,
            note_task=note_task,
        )

    async def _guarded(self, step: Step, params: Any, context: BlockContext) -> Outcome:
        """A bug in a block fails the block, not the replica."""
        try:
            return await step.block.run(params, context)
        except (BlockFailed, Resting, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("block %s failed unexpectedly", context.block_path)
            raise BlockFailed(
                "INTERNAL", "the block failed unexpectedly", category="system"
            ) from None

    async def _unless_canceled(
        self, work: Coroutine[Any, Any, Any], timeout_s: float | None
    ) -> Any:
        """The result of some work, unless a cancel comes first (Canceled) or time is over."""
        if self._cancel.is_set():
            work.close()
            raise Canceled
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._cancel.wait())
        try:
            await asyncio.wait(
                {working, stopping}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if working.done():
                return working.result()
            if stopping.done():
                raise Canceled
            raise TimeoutError
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)

    async def _pause_until(self, moment: datetime) -> None:
        left_s = (moment - self._tools.clock.now()).total_seconds()
        if left_s > LONGEST_HELD_PAUSE_S:
            raise Resting(moment - timedelta(seconds=1))
        if left_s > 0:
            await self._tools.clock.until(moment)

    async def _stop_task(self, step: Step, block_run: BlockRun, reason: str) -> None:
        if step.block.needs_browser:
            await self._tools.tasks.cancel(self._key(block_run), reason)

    def _fail(self, step: Step, block_run: BlockRun, why: BlockFailed) -> BlockRun:
        """Record the end of an attempt that failed; raises Failed when it ends everything."""
        block_run.state = BlockState.FAILED
        block_run.failure = replace(why.failure, block_path=block_run.block_path)
        block_run.task_id = why.task_id or block_run.task_id
        self._deaths[block_run.block_path] += block_run.lost_its_browser
        block_run.will_retry = may_retry(
            block_run.failure,
            block_run.attempt,
            self._deaths[block_run.block_path],
            step.written.retries,
            step.written.resume,
            retryable=why.retryable,
        )
        self._journal.end(block_run)
        if why.terminates and not block_run.will_retry and step.written.on_error == "fail":
            raise Failed(block_run.failure, terminates=True)
        return block_run

    def _end_container(self, step: Step, block_run: BlockRun, inner: Failed) -> BlockRun:
        """A block inside failed: so has the one around it, for the same reason."""
        block_run.state = BlockState.FAILED
        block_run.failure = inner.failure
        self._journal.end(block_run)
        if inner.terminates and step.written.on_error == "fail":
            raise inner
        return block_run

    def _key(self, block_run: BlockRun) -> str:
        return step_key(self._run.run_id, block_run.block_path, block_run.attempt)

    def _output(self, outputs: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        """The output the definition describes, else the outputs of the blocks by label."""
        if not self._definition.output:
            return _fitting({key: value for key, value in outputs.items() if value is not None})
        try:
            output = templates.render_deep(self._definition.output, values, "output")
        except templates.TemplateError as error:
            raise Failed(Failure("TEMPLATE_FAILED", str(error), category="configuration")) from None
        if size_of(output) > MAX_OUTPUT_BYTES:
            why = f"the output is larger than {MAX_OUTPUT_BYTES} bytes"
            raise Failed(Failure("OUTPUT_TOO_LARGE", why, category="configuration"))
        return output


def _new(step: Step, path: str, attempt: int) -> BlockRun:
    return BlockRun(path, attempt, step.block.kind, step.label, BlockState.RUNNING)


def _fitting(outputs: dict[str, Any]) -> dict[str, Any]:
    """As many outputs as fit; the rest stay with their blocks."""
    room, fitting = MAX_OUTPUT_BYTES, {}
    for label, output in outputs.items():
        room -= size_of(output)
        if room >= 0:
            fitting[label] = output
    return fitting
