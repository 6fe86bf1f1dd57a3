"""What may be asked of a workflow run that goes on: cancel, pause, resume. Each a unit of work.

What is asked is written on the row. The engine that holds the run looks for a cancel when it is
hinted to, and every second; for a pause in each commit that begins a block. One that rests until
a moment is paused at once. Asking twice is the same as asking once, and what a replica of run asks
that was stopped for a while changes nothing when a later request has been heeded.
"""

from __future__ import annotations

from libs import errors, lease
from libs.db import Tx

from .domain import Failure, RunState, WorkflowRun
from .engine import CANCEL, DUE
from .journal import publish_end, publish_turn
from .store import blocks, runs, schema


def cancel(tx: Tx, organization_id: str, workflow_run_id: str, reason: str) -> WorkflowRun:
    """It is to stop; one that was never started is abandoned."""
    failure = Failure("CANCELED", reason or "the run was canceled")
    abandoned = runs.abandon_run(tx, organization_id, workflow_run_id, reason, failure)
    if abandoned is not None:
        publish_end(tx, abandoned, RunState.CANCELED, None, failure)
        return abandoned
    runs.ask_to_cancel(tx, organization_id, workflow_run_id, reason)
    return _wake(tx, organization_id, workflow_run_id)


def pause(tx: Tx, organization_id: str, workflow_run_id: str, as_of: int = 0) -> WorkflowRun:
    """It is to rest at the next block boundary, or now if it only lets time pass."""
    if not runs.heed(tx, organization_id, workflow_run_id, as_of):
        return _found(tx, organization_id, workflow_run_id)
    runs.ask_to_pause(tx, organization_id, workflow_run_id)
    paused = runs.pause_asleep(tx, organization_id, workflow_run_id)
    if paused is not None:
        publish_turn(tx, paused, "workflow_run.paused")
    return _wake(tx, organization_id, workflow_run_id)


def resume(tx: Tx, organization_id: str, workflow_run_id: str, as_of: int = 0) -> WorkflowRun:
    """It is to go on; the time it rested is given back to the blocks that are open."""
    if not runs.heed(tx, organization_id, workflow_run_id, as_of):
        return _found(tx, organization_id, workflow_run_id)
    rested = runs.resume_run(tx, organization_id, workflow_run_id)
    if rested is None:
        runs.take_pause_back(tx, organization_id, workflow_run_id)
    else:
        blocks.excuse_pause(tx, organization_id, workflow_run_id, rested)
    run = _wake(tx, organization_id, workflow_run_id)
    if rested is not None:
        publish_turn(tx, run, "workflow_run.resumed")
    return run


def _wake(tx: Tx, organization_id: str, workflow_run_id: str) -> WorkflowRun:
    # It may wait for its next try after a failure: what is asked now is not to wait with it.
    lease.hasten(tx, schema.workflow_runs, schema.RUN_KEY, workflow_run_id)
    tx.notify(CANCEL)
    tx.notify(DUE)
    return _found(tx, organization_id, workflow_run_id)


def _found(tx: Tx, organization_id: str, workflow_run_id: str) -> WorkflowRun:
    run = runs.get_run(tx, organization_id, workflow_run_id)
    if run is None:
        raise errors.NotFound("workflow run", workflow_run_id)
    return run
