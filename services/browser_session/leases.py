"""Whose a session is: giving it to a run and taking it back, inside one unit of work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from libs import errors
from libs.db import Tx
from services.browser_session import store
from services.browser_session.domain import (
    LIVE,
    Reason,
    Session,
    State,
    Wear,
    check_usable,
    worn_out,
)


def create(tx: Tx, new: Session) -> tuple[Session, bool]:
    """The session of a request, and whether it is new and waits for its place."""
    store.sessions.pass_gate(tx)
    if new.request_id:
        known = store.sessions.of_request(tx, new.organization_id, new.request_id)
        if known is not None:
            if known.options != new.options:
                raise errors.Conflict(
                    "request_id was used for a session with other options",
                    reason="IDEMPOTENCY_CONFLICT",
                )
            return known, False
    return store.sessions.enqueue(tx, replace(new, created_at=tx.now)), True


def acquire_fresh(
    tx: Tx, new: Session, saga_fence: int, alike: Callable[[Session], bool]
) -> tuple[Session, bool]:
    """The session the run has already, one that was left for it, or a new one that waits.

    `alike` says whether a session that was left is what the run asks for.
    """
    store.sessions.pass_gate(tx)
    store.runs.check_in(tx, new.organization_id, new.run_id, saga_fence)
    for held in store.sessions.of_run(tx, new.organization_id, new.run_id):
        return held, False
    for left in store.sessions.free_for_reuse(tx, new.organization_id, new.reuse_key):
        if new.reuse_key and alike(left) and store.sessions.occupy(tx, left, new.run_id):
            return store.sessions.get(tx, new.organization_id, left.session_id), False
    return store.sessions.enqueue(tx, replace(new, created_at=tx.now)), True


def acquire_named(
    tx: Tx, organization_id: str, session_id: str, run_id: str, saga_fence: int
) -> Session:
    """Gives a session to the run; one that still starts is answered as it is, to be waited for."""
    # The same turn as the end of a run takes: nothing is given between that and its note.
    store.sessions.pass_gate(tx)
    store.runs.check_in(tx, organization_id, run_id, saga_fence)
    found = store.sessions.get(tx, organization_id, session_id)
    if found.state in (State.QUEUED, State.PROVISIONING):
        return found
    check_usable(found)
    if found.state is State.READY and store.sessions.occupy(tx, found, run_id):
        return store.sessions.get(tx, organization_id, session_id)
    if found.run_id != run_id:
        raise errors.FailedPrecondition(
            f"browser session {session_id} is given to another run", reason="SESSION_OCCUPIED"
        )
    store.sessions.touch(tx, [session_id])
    return found


def release(tx: Tx, held: Session, run_id: str, wear: Wear) -> bool:
    """Takes the session back from the run; True when that ends the session."""
    if held.run_id != run_id or held.state not in LIVE:
        return False
    if held.made_for_run:
        return store.sessions.end(tx, held, State.CLOSED, Reason.RELEASED)
    if held.reuse_key and worn_out(held, tx.now, wear):
        return store.sessions.end(tx, held, State.CLOSED, Reason.RECYCLED)
    store.sessions.set_free(tx, held)
    return False


def end_run(tx: Tx, organization_id: str, run_id: str, wear: Wear) -> list[str]:
    """Takes everything back from a run that is over, and gives it nothing from now on."""
    store.sessions.pass_gate(tx)
    store.runs.end(tx, organization_id, run_id)
    return release_all(tx, organization_id, run_id, wear)


def release_all(tx: Tx, organization_id: str, run_id: str, wear: Wear) -> list[str]:
    """Takes everything back from a run; answers the sessions that ended with it."""
    held = store.sessions.of_run(tx, organization_id, run_id)
    return [one.session_id for one in held if release(tx, one, run_id, wear)]
