"""Browser blocks as tasks: one ExecuteTask call each, taken up again when its stream breaks."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Any

from libs import errors, resilience
from libs.clock import Clock

from . import wire
from .blocks.contract import BlockContext, BlockFailed, Outcome, TaskOrder
from .domain import TaskEnd

CANCEL_TIMEOUT_S = 3.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
# A task service that fails on a task again and again without a word of progress will not recover.
MOST_INTERNAL = 3
log = logging.getLogger(__name__)

# What the other side says when the same call may succeed later.
_PASSING = (
    errors.Unavailable,
    errors.DeadlineExceeded,
    errors.Cancelled,
    errors.Aborted,
    errors.Exhausted,
)
_CATEGORIES: dict[type[errors.PodiumError], str] = {
    errors.Invalid: "configuration",
    errors.NotFound: "configuration",
    errors.FailedPrecondition: "business",
}


class StreamBroken(Exception):
    """The stream ended before the task did."""


class Tasks:
    """Has tasks carried out by the task service."""

    def __init__(self, stub: Any, clock: Clock) -> None:
        self._stub = stub
        self._clock = clock

    async def execute(self, order: TaskOrder, context: BlockContext) -> Outcome:
        """Carry a task out to its end. Ends only with the task: the engine keeps the time.

        The request id is the step key, so a call made again, by this replica or another, finds
        the task that the first one made.
        """
        request = wire.execute_request(order, context)
        pause_s, internal = FIRST_PAUSE_S, 0
        budget = resilience.budget_of("task")
        budget.earn()
        while True:
            try:
                return _outcome(await self._follow(request, context))
            except _PASSING as error:
                wait_s = error.retry_after_s or pause_s
                log.info("task of %s: %s; attaching again", context.block_path, error.message)
            except StreamBroken:
                wait_s = pause_s
            except errors.Internal as error:
                internal += 1
                wait_s = pause_s
                if internal >= MOST_INTERNAL:
                    raise _refused(error, "system") from None
            except errors.PodiumError as error:
                raise _refused(error, _CATEGORIES.get(type(error), "system")) from None
            # However long it is tried again, many that try must not keep down what is coming back.
            within_budget = budget.spend()
            soon_s = min(wait_s, LONGEST_PAUSE_S)
            await self._clock.sleep(soon_s if within_budget else resilience.UNBUDGETED_S)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _follow(self, request: Any, context: BlockContext) -> TaskEnd:
        async with aclosing(self._stub.ExecuteTask(request)) as responses:
            async for response in responses:
                started = wire.started_task(response)
                if started:
                    context.note_task(started)
                end = wire.task_end(response)
                if end is not None:
                    return end
        raise StreamBroken

    async def cancel(self, step_key: str, reason: str) -> None:
        """Stop the task of a step, if there is one; whoever cancels does not wait for its end."""
        try:
            async with asyncio.timeout(CANCEL_TIMEOUT_S):
                await self._stub.CancelTask(wire.cancel_request(step_key, reason))
        except (errors.PodiumError, TimeoutError) as error:
            log.warning("could not cancel the task of %s: %s", step_key, error)


def _refused(error: errors.PodiumError, category: str) -> BlockFailed:
    return BlockFailed(error.reason, f"the task was refused: {error.message}", category=category)


def _outcome(end: TaskEnd) -> Outcome:
    if end.state == "completed":
        files = f", {len(end.artifacts)} files" if end.artifacts else ""
        summary = f"{end.actions} actions{files}"
        return Outcome(end.output, summary, end.task_id, list(end.artifacts))
    failure = end.failure
    raise BlockFailed(
        failure.reason if failure and failure.reason else f"TASK_{end.state.upper()}",
        failure.message if failure and failure.message else f"the task ended as {end.state}",
        category=failure.category if failure else "business",
        screenshot_artifact_id=failure.screenshot_artifact_id if failure else "",
        task_id=end.task_id,
        retryable=end.state not in ("terminated", "canceled"),
        terminates=end.state == "terminated",
    )
