"""The steps of a run's saga: what each does, and how it is undone.

A step may be carried out again after a crash, so each calls only idempotent RPCs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from libs import db, errors, resilience
from libs.secrets import Vault
from libs.signals import Signals
from services.run import store, wire
from services.run.domain import (
    ACQUIRE_BROWSER_SESSION,
    CREATE_WORKFLOW_RUN,
    EXECUTE_WORKFLOW,
    Outcome,
    Run,
    outcome_of_workflow,
)

# How long a step goes on asking an upstream that does not answer.
PATIENCE_S = 60.0
# A finished event that is late is looked for this often; on the happy path it arrives first.
RECONCILE_S = 5.0
# How much later than the end itself the saga goes on without the event: what was told before the
# end is on its way as well, and a run that has ended takes nothing more into its history.
EVENT_PATIENCE = timedelta(seconds=16)


class Paused(Exception):
    """The workflow run rests at a block boundary, as it was asked to."""


@dataclass(frozen=True)
class StepWork:
    """What one step does and how it is undone."""

    name: str
    wanted: Callable[[Run], bool]
    execute: Callable[[Run], Awaitable[dict[str, Any]]]
    compensate: Callable[[Run], Awaitable[None]]


@dataclass(frozen=True)
class Others:
    """The stubs of the services that a saga calls."""

    workflow: Any
    browser_session: Any
    totp: Any


class Steps:
    """The steps over the services they call."""

    def __init__(
        self, database: db.Database, signals: Signals, others: Others, vault: Vault
    ) -> None:
        self._db = database
        self._signals = signals
        self._others = others
        self._vault = vault
        # The table of the saga. The first step was carried out when the run was accepted; the last,
        # send_webhooks, is the commit that ends the run and therefore needs no row here.
        self.table = (
            StepWork(CREATE_WORKFLOW_RUN, _always, self._created, self._cancel_workflow),
            StepWork(ACQUIRE_BROWSER_SESSION, _needs_page, self._acquire, self._release),
            StepWork(EXECUTE_WORKFLOW, _always, self._execute, self._cancel_workflow),
        )

    async def outcome(self, run: Run) -> Outcome:
        """How the workflow run ended, whole; the announcement leaves a large output out."""
        result = run.workflow_result or {}
        complete = "output" in result or result.get("state") != "completed"
        if result and complete:
            return outcome_of_workflow(result)
        ended = await self._ended(run)
        if ended is None:
            raise errors.Aborted(f"{run.workflow_run_id} has not ended", reason="NOT_ENDED")
        return ended

    async def _created(self, _run: Run) -> dict[str, Any]:
        return {}

    async def _acquire(self, run: Run) -> dict[str, Any]:
        request = wire.acquire_session(run, await self._whole_wish(run))
        acquire = self._others.browser_session.AcquireSession
        answer = await self._patiently("browser_session", lambda: acquire(request))
        return {"browser_session_id": answer.session.browser_session_id}

    async def _whole_wish(self, run: Run) -> bytes:
        """What is asked of the session, with its secrets; empty when it has none."""
        if run.session is None:
            return b""
        sealed = await self._db.read(lambda tx: store.sealed_wish(tx, run.run_id))
        return self._vault.open(sealed, store.wish_place(run.run_id)) if sealed else b""

    async def _release(self, run: Run) -> None:
        request = wire.release_session(run)
        release = self._others.browser_session.ReleaseSession
        await self._patiently("browser_session", lambda: release(request))

    async def _execute(self, run: Run) -> dict[str, Any]:
        if run.pause_requested:
            await self._steer(run)
        request = wire.start_workflow_run(run)
        start = self._others.workflow.StartWorkflowRun
        answer = await self._patiently("workflow", lambda: start(request))
        await self._follow(run, answer.workflow_run)
        return {}

    async def _follow(self, run: Run, standing: Any) -> None:
        """Waits for the end and passes on what is asked meanwhile; raises Paused when it rests.

        What the run wants and what the workflow run says are compared whenever something happens
        and every few seconds, so a request that a dead replica did not pass on is passed on.
        """
        async with self._signals.subscribe(store.topic(run.run_id)) as subscription:
            while True:
                present = await self._db.read(lambda tx: store.get(tx, run.run_id))
                if present.workflow_result is not None:
                    return
                if present.pause_requested != standing.pause_requested:
                    standing = await self._steer(present)
                if present.pause_requested and wire.rests(standing):
                    raise Paused
                if await subscription.wait(RECONCILE_S):
                    if present.pause_requested:
                        standing = await self._standing(run)
                    continue
                standing = await self._standing(run)
                if await self._ended_long_ago(standing):
                    return

    async def _steer(self, run: Run) -> Any:
        """Tells the workflow run to pause, or to go on."""
        workflow = self._others.workflow
        if run.pause_requested:
            request: Any = wire.pause_workflow_run(run)
            answer = await self._patiently("workflow", lambda: workflow.PauseWorkflowRun(request))
        else:
            request = wire.resume_workflow_run(run)
            answer = await self._patiently("workflow", lambda: workflow.ResumeWorkflowRun(request))
        return answer.workflow_run

    async def _cancel_workflow(self, run: Run) -> None:
        request = wire.cancel_workflow_run(
            run.workflow_run_id, run.cancel_reason or "the run ended"
        )
        cancel = self._others.workflow.CancelWorkflowRun
        answer = await self._patiently("workflow", lambda: cancel(request))
        if wire.outcome(answer.workflow_run) is None:
            await self._until_ended(run)
        challenges = wire.cancel_challenges(run)
        await self._patiently("totp", lambda: self._others.totp.CancelChallenges(challenges))

    async def _until_ended(self, run: Run) -> None:
        """Waits for "workflow_run.finished"; asks the service when the event is late."""
        async with self._signals.subscribe(store.topic(run.run_id)) as subscription:
            while True:
                present = await self._db.read(lambda tx: store.get(tx, run.run_id))
                if present.workflow_result is not None:
                    return
                if await subscription.wait(RECONCILE_S):
                    continue
                if await self._ended_long_ago(await self._standing(run)):
                    return

    async def _ended(self, run: Run) -> Outcome | None:
        return wire.outcome(await self._standing(run))

    async def _ended_long_ago(self, found: Any) -> bool:
        now = await self._db.read(lambda tx: tx.now)
        return wire.outcome(found) is not None and now - wire.ended_at(found) > EVENT_PATIENCE

    async def _standing(self, run: Run) -> Any:
        request = wire.get_workflow_run(run)
        ask = self._others.workflow.GetWorkflowRun
        answer = await self._patiently("workflow", lambda: ask(request))
        return answer.workflow_run

    async def _patiently(self, upstream: str, call: Callable[[], Awaitable[Any]]) -> Any:
        return await resilience.retrying(call, patience_s=PATIENCE_S, upstream=upstream)


def _always(_run: Run) -> bool:
    return True


def _needs_page(run: Run) -> bool:
    return run.needs_browser
