"""SQL over sessions and the replicas that own them.

A session row is the truth about a session; its process is found through `owner`. Whatever depends
on how many browsers run is decided while holding the row lock of `gate`, so that two replicas
cannot both take the last place.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, insert, not_, or_, select, true, update

from libs import errors
from libs.db import Tx
from services.browser_session.domain import (
    ENDED_IN_TIME,
    LIVE,
    Options,
    Reason,
    Session,
    State,
    next_in_line,
    sources,
)
from services.browser_session.store import queue
from services.browser_session.store.options import options_from, options_json
from services.browser_session.store.profiles import forget as forget_profile
from services.browser_session.store.tables import (
    GATE,
    ROOM,
    SESSIONS,
    changed,
    older,
    orders,
)

NOBODY = ""
"""Owner of a session that a stopping replica left to the others."""
LIVE_STATES = tuple(state.value for state in LIVE)
"""The states of a session that has not ended, as they are written in the table."""


def pass_gate(tx: Tx) -> None:
    """Makes the deciders about places take turns until this unit is committed."""
    if tx.execute(update(GATE).values(passes=GATE.c.passes + 1)).rowcount == 0:
        tx.execute(insert(GATE).values(gate_id=1, passes=1))


def get(tx: Tx, organization_id: str, session_id: str) -> Session:
    """One session of the organisation; raises NotFound."""
    found = _one(tx, SESSIONS.c.organization_id == organization_id, session_id)
    if found is None:
        raise errors.NotFound("browser session", session_id)
    return found


def get_anywhere(tx: Tx, session_id: str) -> Session | None:
    """One session, for the machinery that serves all organisations."""
    return _one(tx, SESSIONS.c.session_id == session_id, session_id)


def _one(tx: Tx, condition: Any, session_id: str) -> Session | None:
    query = select(SESSIONS).where(condition, SESSIONS.c.session_id == session_id)
    row = tx.execute(query).one_or_none()
    return _session(row) if row else None


def of_request(tx: Tx, organization_id: str, request_id: str) -> Session | None:
    """The session that was made for this request id and has not failed to start."""
    query = select(SESSIONS).where(
        SESSIONS.c.organization_id == organization_id,
        SESSIONS.c.request_id == request_id,
        SESSIONS.c.state != State.FAILED,
    )
    row = tx.execute(query.order_by(SESSIONS.c.created_at.desc()).limit(1)).one_or_none()
    return _session(row) if row else None


def of_run(tx: Tx, organization_id: str, run_id: str) -> list[Session]:
    """The sessions that are given to the run, or wait to be."""
    query = select(SESSIONS).where(
        SESSIONS.c.organization_id == organization_id,
        SESSIONS.c.run_id == run_id,
        SESSIONS.c.state.in_(LIVE_STATES),
    )
    return [_session(row) for row in tx.execute(query)]


def page(
    tx: Tx,
    organization_id: str,
    states: Collection[State],
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[Session]:
    """Sessions of the organisation, newest first, older than `before`."""
    query = select(SESSIONS).where(SESSIONS.c.organization_id == organization_id)
    if states:
        query = query.where(_shown_as(states))
    query = older(query, SESSIONS.c.created_at, SESSIONS.c.session_id, before)
    return [_session(row) for row in tx.execute(query.limit(limit))]


def _shown_as(states: Collection[State]) -> Any:
    ending = and_(
        SESSIONS.c.has_process, SESSIONS.c.state.in_([state.value for state in ENDED_IN_TIME])
    )
    settled = and_(SESSIONS.c.state.in_([state.value for state in states]), not_(ending))
    return or_(settled, ending) if State.DRAINING in states else settled


def not_on(tx: Tx, replicas: Any) -> list[Session]:
    """The sessions that belong to none of these replicas and have not been cleared away."""
    return _unfinished(tx, SESSIONS.c.owner.not_in(replicas))


def on_replica(tx: Tx, replica: str) -> list[Session]:
    """The sessions that wait on this replica or whose browser runs there."""
    return _unfinished(tx, SESSIONS.c.owner == replica)


def _unfinished(tx: Tx, condition: Any) -> list[Session]:
    unfinished = or_(SESSIONS.c.has_process, SESSIONS.c.state.in_(LIVE_STATES))
    return [_session(row) for row in tx.execute(select(SESSIONS).where(condition, unfinished))]


def enqueue(tx: Tx, new: Session) -> Session:
    """Adds a session that waits for a place."""
    tx.execute(
        insert(SESSIONS).values(
            session_id=new.session_id,
            organization_id=new.organization_id,
            state=State.QUEUED,
            options=options_json(new.options),
            warnings=list(new.warnings),
            request_id=new.request_id,
            run_id=new.run_id,
            made_for_run=new.made_for_run,
            fence=new.fence,
            generation=new.generation,
            owner=new.owner,
            has_process=False,
            cdp_url="",
            cdp_key=new.cdp_key,
            sealed_options=new.sealed_options,
            close_reason="",
            artifact_count=0,
            queue_until=new.queue_until,
            reuse_key=new.reuse_key,
            jobs=new.jobs,
            created_at=new.created_at,
        )
    )
    return new


def admit(tx: Tx, session_id: str, capacity: int) -> bool:
    """Gives a place to the session if one is free and it is its turn."""
    pass_gate(tx)
    running = queue.running(tx)
    if sum(running.values()) >= capacity:
        return False
    if next_in_line(queue.waiting(tx), running) != session_id:
        return False
    tx.notify(ROOM)
    return _move(tx, session_id, State.PROVISIONING, has_process=True)


def is_queued(tx: Tx, session_id: str) -> bool:
    """Whether the session still waits for a place."""
    row = get_anywhere(tx, session_id)
    return row is not None and row.state is State.QUEUED


def withdraw(tx: Tx, session_id: str) -> bool:
    """Forgets a session that did not get a place in time, as if it had not been asked for."""
    gone = tx.execute(
        delete(SESSIONS).where(
            SESSIONS.c.session_id == session_id, SESSIONS.c.state == State.QUEUED
        )
    )
    tx.notify(ROOM)
    tx.notify(changed(session_id))
    return gone.rowcount == 1


def set_ready(tx: Tx, started: Session, cdp_url: str) -> bool:
    """The browser answers: the session is free, or given to its run.

    False when the session has ended meanwhile, or was given yet another browser.
    """
    row = get_anywhere(tx, started.session_id)
    if row is None or row.state is not State.PROVISIONING:
        return False
    return _move(
        tx,
        row.session_id,
        State.OCCUPIED if row.run_id else State.READY,
        same_browser(started.owner, started.generation),
        cdp_url=cdp_url,
        ready_at=row.ready_at or tx.now,
        active_at=tx.now,
    )


def same_browser(owner: str, generation: int) -> Any:
    """The condition that a session still has the browser it had then."""
    return and_(SESSIONS.c.owner == owner, SESSIONS.c.generation == generation)


def begin_recovery(tx: Tx, lost: Session, owner: str) -> bool:
    """Has `owner` start another browser for a session that lost its own.

    The fence moves on, so that no token opens what may be left of the old browser.
    """
    return _without_browser(tx, lost, owner, lost.generation + 1)


def leave(tx: Tx, held: Session) -> bool:
    """Leaves a session whose browser is about to end to whichever replica takes it."""
    return _without_browser(tx, held, NOBODY, held.generation)


def _without_browser(tx: Tx, lost: Session, owner: str, generation: int) -> bool:
    tx.notify(orders(lost.owner))
    return _move(
        tx,
        lost.session_id,
        State.PROVISIONING,
        and_(same_browser(lost.owner, lost.generation), SESSIONS.c.fence == lost.fence),
        owner=owner,
        generation=generation,
        fence=lost.fence + 1,
        cdp_url="",
        # It keeps its place: nobody may take it while the session waits for a browser.
        has_process=True,
    )


def tell_recovered(tx: Tx, session: Session, reason: Reason) -> None:
    """Says on the bus that the session has another browser."""
    tx.publish(
        "browser_session.recovered",
        {
            "browser_session_id": session.session_id,
            "reason": reason.value,
            "generation": session.generation,
        },
        organization_id=session.organization_id,
        run_id=session.run_id,
    )


def occupy(tx: Tx, free: Session, run_id: str) -> bool:
    """Gives a free session to a run, under a new fence."""
    tx.notify(orders(free.owner))
    return _hand_over(tx, free, State.OCCUPIED, run_id, jobs=free.jobs + 1)


def set_free(tx: Tx, occupied: Session) -> bool:
    """Takes a session back from its run; the fence moves on, so that old tokens open nothing."""
    tx.notify(orders(occupied.owner))
    # One that waits for another browser goes on waiting.
    target = State.READY if occupied.state is State.OCCUPIED else occupied.state
    return _hand_over(tx, occupied, target, "")


def _hand_over(tx: Tx, session: Session, target: State, run_id: str, **more: Any) -> bool:
    """Moves the lease on, unless it has moved since the session was read."""
    same_lease = SESSIONS.c.fence == session.fence
    fence = session.fence + 1
    return _move(
        tx,
        session.session_id,
        target,
        same_lease,
        run_id=run_id,
        fence=fence,
        active_at=tx.now,
        **more,
    )


def end(tx: Tx, live: Session, state: State, reason: Reason) -> bool:
    """Ends a session and says so on the bus; False when it had already ended."""
    ended = _move(tx, live.session_id, state, close_reason=reason.value, ended_at=tx.now)
    if not ended:
        return False
    if not live.options.save_profile:
        forget_profile(tx, live.session_id)
    tx.notify(orders(live.owner))
    tx.notify(ROOM)
    crashed = state in (State.CRASHED, State.FAILED)
    tx.publish(
        "browser_session.crashed" if crashed else "browser_session.closed",
        {"browser_session_id": live.session_id, "reason": reason.value},
        organization_id=live.organization_id,
        run_id=live.run_id,
    )
    return True


def renew(tx: Tx, session: Session, options: Options) -> bool:
    """Notes that a session is still needed, and for how long."""
    renewed = tx.execute(
        update(SESSIONS)
        .where(SESSIONS.c.session_id == session.session_id, SESSIONS.c.state.in_(LIVE_STATES))
        .values(active_at=tx.now, options=options_json(options))
    )
    return renewed.rowcount == 1


def free_for_reuse(tx: Tx, organization_id: str, reuse_key: str) -> list[Session]:
    """The free sessions that runs of this key have left, the one used last first."""
    query = select(SESSIONS).where(
        SESSIONS.c.organization_id == organization_id,
        SESSIONS.c.reuse_key == reuse_key,
        SESSIONS.c.state == State.READY,
    )
    return [_session(row) for row in tx.execute(query.order_by(SESSIONS.c.active_at.desc()))]


def process_gone(tx: Tx, session_id: str, owner: str, generation: int) -> None:
    """This browser of the session has no process any more; its place is free.

    Nothing changes when the session has another browser by now.
    """
    tx.execute(
        update(SESSIONS)
        .where(SESSIONS.c.session_id == session_id, same_browser(owner, generation))
        .values(has_process=False)
    )
    tx.notify(ROOM)
    tx.notify(changed(session_id))


def touch(tx: Tx, session_ids: Collection[str]) -> None:
    """Notes that these sessions are in use."""
    tx.execute(
        update(SESSIONS).where(SESSIONS.c.session_id.in_(session_ids)).values(active_at=tx.now)
    )


def _move(tx: Tx, session_id: str, target: State, condition: Any = None, **values: Any) -> bool:
    """Compare-and-set of the state along the allowed transitions."""
    moved = tx.execute(
        update(SESSIONS)
        .where(
            SESSIONS.c.session_id == session_id,
            SESSIONS.c.state.in_([state.value for state in sources(target)]),
            true() if condition is None else condition,
        )
        .values(state=target.value, **values)
    )
    tx.notify(changed(session_id))
    return moved.rowcount == 1


def _session(row: Row[Any]) -> Session:
    fields = dict(row._mapping)
    fields.pop("artifact_count")
    fields["state"] = State(fields["state"])
    fields["options"] = options_from(fields["options"])
    fields["warnings"] = tuple(fields["warnings"])
    return Session(**fields)
