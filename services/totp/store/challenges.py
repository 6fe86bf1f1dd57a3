"""Challenges: their rows, and every change of state as a compare-and-set."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from libs import hosts
from libs.db import Tx
from services.totp.domain import OPEN, Challenge, Message, State, sources_of, window_at
from services.totp.store.tables import challenges, steps

STEP_LIFE = timedelta(days=1)
CLOSED_LIFE = timedelta(days=30)
_columns = challenges.c


def insert(tx: Tx, challenge: Challenge) -> None:
    """Keeps a new challenge."""
    values = asdict(challenge) | {
        "state": challenge.state.value,
        "request_id": challenge.request_id or None,
    }
    tx.execute(sa.insert(challenges).values(**values))


def find(tx: Tx, organization_id: str, challenge_id: str) -> Challenge | None:
    """A challenge of this organisation."""
    return _one(tx, organization_id, _columns.challenge_id == challenge_id)


def find_request(tx: Tx, organization_id: str, request_id: str) -> Challenge | None:
    """The challenge that an earlier call with this request id opened."""
    return _one(tx, organization_id, _columns.request_id == request_id)


def _one(tx: Tx, organization_id: str, key: sa.ColumnElement[bool]) -> Challenge | None:
    query = sa.select(challenges).where(_columns.organization_id == organization_id, key)
    row = tx.execute(query).mappings().first()
    return _read(row) if row else None


def page(
    tx: Tx, organization_id: str, state: State | None, run_id: str, before: str, limit: int
) -> list[Challenge]:
    """Challenges, newest first, from the one before `before`; ids sort by time."""
    query = sa.select(challenges).where(_columns.organization_id == organization_id)
    if state is not None:
        query = query.where(_columns.state == state.value)
    if run_id:
        query = query.where(_columns.run_id == run_id)
    if before:
        query = query.where(_columns.challenge_id < before)
    query = query.order_by(_columns.challenge_id.desc()).limit(limit)
    return [_read(row) for row in tx.execute(query).mappings()]


def waiting_for(tx: Tx, message: Message) -> list[Challenge]:
    """The challenges that this message may serve, the longest waiting first."""
    query = sa.select(challenges).where(
        _columns.organization_id == message.organization_id,
        _columns.state == State.WAITING.value,
        _columns.expires_at > tx.now,
    )
    if message.challenge_id:
        query = query.where(_columns.challenge_id == message.challenge_id)
    else:
        query = query.where(
            _columns.identifier == message.identifier,
            _columns.identifier != "",
            _columns.not_before <= message.received_at,
        )
        if message.run_id:
            query = query.where(_columns.run_id == message.run_id)
    query = query.order_by(_columns.created_at, _columns.challenge_id)
    found = [_read(row) for row in tx.execute(query).mappings()]
    if message.sure:
        return found
    return [one for one in found if hosts.accepts(one.link_hosts, message.link_host)]


def any_waiting_at(tx: Tx, organization_id: str, identifiers: Collection[str]) -> list[Challenge]:
    """The challenges that wait for a code at one of these addresses."""
    query = sa.select(challenges).where(
        _columns.organization_id == organization_id,
        _columns.identifier.in_(identifiers),
        _columns.state == State.WAITING.value,
        _columns.expires_at > tx.now,
    )
    return [_read(row) for row in tx.execute(query).mappings()]


def move(tx: Tx, challenge: Challenge, state: State, **changes: Any) -> bool:
    """Changes the state where the table of transitions allows it; False when it does not."""
    allowed = [source.value for source in sources_of(state)]
    update = (
        sa.update(challenges)
        .where(
            _columns.organization_id == challenge.organization_id,
            _columns.challenge_id == challenge.challenge_id,
            _columns.state.in_(allowed),
        )
        .values(state=state.value, **changes)
    )
    return tx.execute(update).rowcount == 1


def open_of_run(tx: Tx, organization_id: str, run_id: str) -> list[Challenge]:
    """The challenges of a run that may still get a code."""
    return _open(tx, organization_id, _columns.run_id == run_id)


def open_of_credential(tx: Tx, organization_id: str, credential_id: str) -> list[Challenge]:
    """The challenges for a credential that may still get a code."""
    return _open(tx, organization_id, _columns.credential_id == credential_id)


def _open(tx: Tx, organization_id: str, key: sa.ColumnElement[bool]) -> list[Challenge]:
    query = sa.select(challenges).where(
        _columns.organization_id == organization_id,
        key,
        _columns.state.in_([state.value for state in OPEN]),
    )
    return [_read(row) for row in tx.execute(query).mappings()]


def due(tx: Tx, limit: int) -> list[Challenge]:
    """Open challenges of every organisation whose time is over."""
    query = (
        sa.select(challenges)
        .where(
            _columns.state.in_([state.value for state in OPEN]),
            _columns.expires_at <= tx.now,
        )
        .limit(limit)
    )
    return [_read(row) for row in tx.execute(query).mappings()]


def next_due(tx: Tx) -> datetime | None:
    """When the next open challenge expires."""
    query = sa.select(sa.func.min(_columns.expires_at)).where(
        _columns.state.in_([state.value for state in OPEN])
    )
    return tx.execute(query).scalar()


def take_step(tx: Tx, challenge: Challenge, period_s: int) -> tuple[int, datetime] | datetime:
    """Claims the current time step for this challenge.

    Answers the step and its end, or the moment to try again: when too little of the step is left,
    or another challenge has had it.
    """
    window = window_at(tx.now, period_s)
    if not window.fresh:
        return window.ends_at
    taken = sa.select(sa.func.max(steps.c.step)).where(
        steps.c.credential_id == challenge.credential_id
    )
    last = tx.execute(taken).scalar()
    if last is not None and last >= window.step:
        return window.ends_at
    values = {
        "credential_id": challenge.credential_id,
        "step": window.step,
        "challenge_id": challenge.challenge_id,
        "taken_at": tx.now,
    }
    try:
        tx.execute(sa.insert(steps).values(**values))
    except IntegrityError:
        raise Contended(window.ends_at) from None
    return window.step, window.ends_at


class Contended(Exception):
    """Another replica was faster: undoes the unit, which is to be tried again at this moment."""

    def __init__(self, again_at: datetime) -> None:
        super().__init__("somebody else was faster")
        self.again_at = again_at


def any_over(tx: Tx) -> bool:
    """Whether there are steps that nobody can need any more."""
    query = sa.select(steps.c.step).where(steps.c.taken_at < tx.now - STEP_LIFE).limit(1)
    return tx.execute(query).first() is not None


def purge(tx: Tx) -> None:
    """Forgets steps and closed challenges that nobody can need any more."""
    tx.execute(sa.delete(steps).where(steps.c.taken_at < tx.now - STEP_LIFE))
    tx.execute(sa.delete(challenges).where(_columns.expires_at < tx.now - CLOSED_LIFE))


def _read(row: Any) -> Challenge:
    return Challenge(
        **{
            **row,
            "state": State(row["state"]),
            "request_id": row["request_id"] or "",
            "generated": bool(row["generated"]),
        }
    )
