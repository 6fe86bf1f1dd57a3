"""What a client may ask of a run that goes on: cancel, pause, resume. Each a unit of work.

A request is written down with its event and takes effect in the saga, so it survives whoever
accepted it; asking twice is the same as asking once.
"""

from __future__ import annotations

from libs import db, errors, lease
from services.run import store
from services.run.domain import Run, RunState
from services.run.record import note


def cancel(tx: db.Tx, run_id: str, reason: str) -> Run:
    """The run is to stop; one that has ended, or is stopping, stays as it is."""
    run = store.get(tx, run_id)
    if run.ended or run.cancel_reason is not None:
        return run
    store.assign(tx, run_id, cancel_reason=reason)
    note(tx, run_id, "run.cancel_requested", {"reason": reason})
    return _wake(tx, run_id)


def pause(tx: db.Tx, run_id: str, reason: str) -> Run:
    """The run is to stop at the next block boundary."""
    run = _able(tx, run_id, "paused")
    if run.pause_requested:
        return run
    store.assign(tx, run_id, pause_requested=True)
    note(tx, run_id, "run.pause_requested", {"reason": reason})
    return _wake(tx, run_id)


def resume(tx: db.Tx, run_id: str) -> Run:
    """The run is to go on, whether it has come to rest already or not."""
    run = _able(tx, run_id, "resumed")
    if not run.pause_requested:
        return run
    go_on(tx, run, "on request")
    return _wake(tx, run_id)


def go_on(tx: db.Tx, run: Run, why: str) -> None:
    """Takes a pause back, in the present commit."""
    store.assign(tx, run.run_id, pause_requested=False)
    if run.state is RunState.PAUSED:
        store.enter(tx, run.run_id, RunState.RUNNING)
    note(tx, run.run_id, "run.resumed", {"reason": why})


def _able(tx: db.Tx, run_id: str, what: str) -> Run:
    run = store.get(tx, run_id)
    if run.ended:
        raise errors.FailedPrecondition(
            f"{run_id} has ended as {run.state} and cannot be {what}", reason="RUN_FINISHED"
        )
    if run.stopping:
        raise errors.FailedPrecondition(
            f"{run_id} is being stopped and cannot be {what}", reason="RUN_STOPPING"
        )
    return run


def _wake(tx: db.Tx, run_id: str) -> Run:
    """Wakes the saga where it waits, and the workers in case it rests."""
    # It may wait for its next try after a failure: what is asked now is not to wait with it.
    lease.hasten(tx, store.runs, "run_id", run_id)
    tx.notify(store.topic(run_id))
    tx.notify(store.DUE_TOPIC)
    return store.get(tx, run_id)
