"""One task carried out from its first phase to its last, or from where another agent stopped."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Error as BrowserError

from libs import errors
from libs.clock import Clock
from services.task import actions, schema
from services.task.acting import troubles
from services.task.acting.scene import Scene
from services.task.browsers import Browsers
from services.task.domain import (
    ActionRecord,
    Failing,
    Outcome,
    Phase,
    Reason,
    Task,
    TaskFailure,
    TaskState,
    outcome_of,
)
from services.task.journal import Journal
from services.task.planner import Goal, Past, Planner, rules
from services.task.ports import Codes, Reader, Session
from services.task.schema import Step

log = logging.getLogger(__name__)
ATTACHMENTS = 3
FAILURES_IN_A_ROW = 3
SCREENSHOT_TIMEOUT_S = 5.0
EXPLICIT = "explicit"
PAGE_CRASHED = "the page crashed during the task; its session has another one now"


@dataclass(frozen=True)
class Tools:
    """What every errand works with."""

    browsers: Browsers
    session: Callable[[str], Session]
    codes: Codes
    planners: dict[str, Planner]
    reader: Reader | None
    clock: Clock


class Errand:
    """The course of one task on its page."""

    def __init__(self, task: Task, journal: Journal, tools: Tools) -> None:
        self._task = task
        self._journal = journal
        self._tools = tools
        self._session = tools.session(task.browser_session_id)
        self._scene: Scene | None = None
        self._screenshot_id = ""
        self._page_crashed = False

    async def run(self) -> Outcome:
        """Carry the task out; when the connection to the page breaks, attach and go on."""
        try:
            for attempt in range(1, ATTACHMENTS + 1):
                try:
                    outcome = await self._course()
                    # What the task may have signed in to must outlive the browser.
                    await self._tools.browsers.save_profile(*self._key)
                    return outcome
                except BrowserError as error:
                    if self._page_crashed or troubles.is_crashed(error):
                        # What was on it is gone: the block begins again on the page that took
                        # its place, in the same browser.
                        await self._tools.browsers.drop(*self._key)
                        raise TaskFailure(Reason.BROWSER_CRASHED, PAGE_CRASHED) from error
                    if not troubles.is_lost(error):
                        raise
                    log.info("lost the page (attachment %d)", attempt)
                    await self._tools.browsers.drop(*self._key)
            raise TaskFailure(Reason.SESSION_LOST, "the browser or its page ended during the task")
        except TaskFailure as failure:
            await self._tools.browsers.save_profile(*self._key)
            return outcome_of(failure, self._screenshot_id)
        finally:
            self._leave()

    async def _course(self) -> Outcome:
        self._leave()
        found = await self._tools.browsers.page(*self._key)
        self._journal.attached(found.generation)
        found.page.on("crash", self._note_crash)
        self._scene = Scene(
            page=found.page,
            session=self._session,
            codes=self._tools.codes,
            clock=self._tools.clock,
            credential_id=self._task.spec.credential_id,
            reader=self._tools.reader,
        )
        self._scene.listen()
        for phase in Phase:
            if phase is Phase.GOAL:
                await self._pursue_goal()
                continue
            steps = self._steps(phase)
            for step in steps[len(self._journal.of(phase)) :]:
                await self._act(step, phase, EXPLICIT)
        return Outcome(
            TaskState.COMPLETED, output=self._output(), artifacts=tuple(self._artifacts())
        )

    def _steps(self, phase: Phase) -> Sequence[Step]:
        spec = self._task.spec
        match phase:
            case Phase.URL if spec.url:
                return [schema.Goto(url=spec.url)]
            case Phase.ACTIONS:
                return actions.parse_all(list(spec.actions), "spec.actions")
            case Phase.LOGIN if spec.login:
                return [
                    schema.Login(
                        credential_id=spec.login.credential_id,
                        totp_identifier=spec.login.totp_identifier or None,
                        success_text=spec.login.success_text or None,
                        link_hosts=list(spec.login.link_hosts),
                    )
                ]
            case Phase.EXTRACTION if spec.extraction:
                found = spec.extraction
                return [schema.Extract(schema=found.schema, instruction=found.instruction)]
            case Phase.SCREENSHOT if spec.screenshot_name:
                return [
                    schema.Screenshot(
                        name=spec.screenshot_name, full_page=spec.screenshot_full_page
                    )
                ]
        return []

    async def _pursue_goal(self) -> None:
        spec = self._task.spec
        if not spec.goal:
            return
        goal = Goal(spec.goal, has_credential=bool(spec.credential_id))
        planner = self._planner(goal)
        assert self._scene is not None
        if planner.recovers and goal.has_credential:
            # An earlier agent may have typed it where the page shows it; no model may see it.
            credential = await self._tools.codes.credential(spec.credential_id)
            self._scene.hush(credential.password)
        while not self._goal_is_reached():
            done = self._journal.of(Phase.GOAL)
            if planner.recovers:
                await self._journal.flush()
                _refuse_failing(done)
            step = await planner.next(goal, self._scene.look, [_past(r) for r in done])
            if step is None:
                return
            if len(done) >= spec.max_steps:
                raise TaskFailure(
                    Reason.STEP_LIMIT, f"the goal was not reached within {spec.max_steps} steps"
                )
            await self._act(step, Phase.GOAL, planner.name, recovers=planner.recovers)

    def _planner(self, goal: Goal) -> Planner:
        """Rules where they understand the whole goal, else the model if there is one.

        An errand that was begun with one of them is ended with it.
        """
        before = next((r.planner for r in self._journal.records if r.phase is Phase.GOAL), "")
        if before in self._tools.planners:
            return self._tools.planners[before]
        try:
            rules.plan(goal)
        except TaskFailure as failure:
            if failure.reason != Reason.NOT_UNDERSTOOD or "llm" not in self._tools.planners:
                raise
            return self._tools.planners["llm"]
        return self._tools.planners["rules"]

    def _goal_is_reached(self) -> bool:
        return any(r.kind == "finish" for r in self._journal.of(Phase.GOAL))

    async def _act(self, step: Step, phase: Phase, planner: str, *, recovers: bool = False) -> None:
        """Carry one action out and record it; failing ends the task unless the planner recovers."""
        assert self._scene is not None
        await self._tools.browsers.await_wheel(*self._key)
        kind: str = step.kind  # type: ignore[attr-defined]
        before = self._journal.interrupted
        mark = ""
        if recovers or not actions.ACTIONS[kind].repeatable:
            mark = (await self._scene.look()).mark
        self._scene.resumed = before is not None
        if before is not None and not _may_repeat(before, mark):
            self._journal.assumed(before, "the page had changed when another agent took over")
            return
        number = before.number if before else len(self._journal.records) + 1
        self._scene.action_key = f"{self._task.task_id}:{number}"
        shown = self._scene.scrub(troubles.shown(self._scene.page.url))
        record = await self._journal.began(
            kind, actions.recorded(step), phase, planner, shown, mark
        )
        try:
            output = await self._perform(step)
        except TaskFailure as failure:
            if self._scene.is_lost or self._page_crashed:
                # It failed because there was no page any more, whatever it looked like.
                raise BrowserError("connection closed") from failure
            await self._failed(record, failure)
            if not recovers or failure.reason == Reason.GOAL_IMPOSSIBLE:
                raise TaskFailure(failure.reason, self._scene.scrub(failure.message)) from None
        else:
            self._journal.ended(record, output=output)

    async def _perform(self, step: Step) -> Any:
        assert self._scene is not None
        if isinstance(step, schema.ReportInfeasible):
            raise TaskFailure(Reason.GOAL_IMPOSSIBLE, step.reason)
        if isinstance(step, schema.Finish):
            return {"answer": step.answer} if step.answer else None
        return await actions.answer(step, self._scene)

    async def _failed(self, record: ActionRecord, failure: TaskFailure) -> None:
        assert self._scene is not None
        artifact_id = ""
        with contextlib.suppress(errors.PodiumError, TimeoutError):
            name = f"failed-{record.number}-{record.kind}.png"
            artifact_id = (await self._session.screenshot(name, full_page=False)).artifact_id
        self._screenshot_id = artifact_id
        message = self._scene.scrub(failure.message)
        self._journal.ended(record, failing=Failing(str(failure.reason), message, artifact_id))

    def _output(self) -> Any:
        read = self._journal.of(Phase.EXTRACTION)
        if read:
            return read[-1].output
        for record in reversed(self._journal.of(Phase.GOAL)):
            if record.kind == "finish" and record.output:
                return record.output
        found = [r.output for r in self._journal.records if r.kind == "extract" and r.output]
        if len(found) > 1 and all(isinstance(part, dict) for part in found):
            return {key: value for part in found for key, value in part.items()}
        return found[-1] if found else None

    def _artifacts(self) -> list[dict[str, Any]]:
        kept = []
        for record in self._journal.records:
            if record.kind in {"screenshot", "download"} and record.output:
                kept.append({"kind": record.kind, **record.output})
        return kept

    @property
    def _key(self) -> tuple[str, str]:
        return self._task.browser_session_id, self._task.run_id

    def _note_crash(self, _: object) -> None:
        self._page_crashed = True

    def _leave(self) -> None:
        if self._scene is not None:
            self._scene.leave()


def _may_repeat(record: ActionRecord, mark: str) -> bool:
    """Whether an interrupted action is carried out again.

    A click on a page that looks as it did before the click has not happened, or did nothing.
    """
    return actions.ACTIONS[record.kind].repeatable or record.page_mark == mark


def _past(record: ActionRecord) -> Past:
    problem = record.failing.message if record.failing else ""
    return Past(record.kind, record.params, record.output, problem, record.page_mark)


def _refuse_failing(done: list[ActionRecord]) -> None:
    tail = done[-FAILURES_IN_A_ROW:]
    if len(tail) == FAILURES_IN_A_ROW and all(r.failing for r in tail):
        assert tail[-1].failing is not None
        raise TaskFailure(
            Reason.STUCK,
            f"{FAILURES_IN_A_ROW} actions in a row failed, the last because "
            f"{tail[-1].failing.message}",
        )
