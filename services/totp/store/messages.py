"""Received messages: sealed, given to one challenge each, gone after their short life."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from libs.db import Tx
from libs.secrets import Secret, Vault
from services.totp.domain import Challenge, Message, Source
from services.totp.store.tables import associated, messages

_columns = messages.c


def insert(tx: Tx, vault: Vault, message: Message, code: Secret, content: Secret) -> None:
    """Keeps a message: its code when there is one for certain, else its text."""

    def sealed(field: str, value: Secret) -> bytes:
        place = associated(message.organization_id, messages, message.message_id, field)
        return vault.seal(value.reveal().encode("utf-8", "replace"), place)

    values = {
        "message_id": message.message_id,
        "organization_id": message.organization_id,
        "identifier": message.identifier,
        "run_id": message.run_id,
        "challenge_id": message.challenge_id,
        "source": message.source.value,
        "sure": message.sure,
        "candidates": message.candidates,
        "code_sealed": sealed("code_sealed", code) if message.sure else None,
        "content_sealed": None if message.sure else sealed("content_sealed", content),
        "received_at": message.received_at,
        "expires_at": message.expires_at,
    }
    tx.execute(sa.insert(messages).values(**values))


def best_for(tx: Tx, challenge: Challenge) -> Message | None:
    """The message that serves this challenge best: the most closely addressed, then the newest."""
    addressed = _columns.challenge_id == challenge.challenge_id
    of_run = sa.and_(_columns.run_id != "", _columns.run_id == challenge.run_id)
    at_its_place = sa.and_(
        _columns.challenge_id == "",
        sa.or_(_columns.run_id == "", of_run),
        _columns.identifier == challenge.identifier,
        _columns.identifier != "",
        _columns.received_at >= challenge.not_before,
    )
    query = (
        sa.select(messages)
        .where(
            _columns.organization_id == challenge.organization_id,
            _columns.sure.is_(True),
            _columns.claimed_by.is_(None),
            _columns.expires_at > tx.now,
            sa.or_(addressed, at_its_place),
        )
        .order_by(
            sa.case((addressed, 0), (of_run, 1), else_=2),
            _columns.received_at.desc(),
            _columns.message_id.desc(),
        )
        .limit(1)
    )
    row = tx.execute(query).mappings().first()
    return _read(row) if row else None


def take(tx: Tx, message: Message, challenge: Challenge) -> bool:
    """Gives a message to a challenge; False when another one has it."""
    update = (
        sa.update(messages)
        .where(_columns.message_id == message.message_id, _columns.claimed_by.is_(None))
        .values(claimed_by=challenge.challenge_id)
    )
    return tx.execute(update).rowcount == 1


def take_back(tx: Tx, message: Message) -> None:
    """Makes a message free again, for the next challenge to have."""
    update = sa.update(messages).where(_columns.message_id == message.message_id)
    tx.execute(update.values(claimed_by=None))


def given_to(tx: Tx, challenge: Challenge) -> Message | None:
    """The message that was given to this challenge."""
    query = sa.select(messages).where(_columns.claimed_by == challenge.challenge_id)
    row = tx.execute(query).mappings().first()
    return _read(row) if row else None


def code_of(tx: Tx, vault: Vault, challenge: Challenge) -> Secret | None:
    """The code that was given to this challenge, while it is kept."""
    query = sa.select(_columns.code_sealed).where(
        _columns.message_id == challenge.message_id,
        _columns.claimed_by == challenge.challenge_id,
        _columns.expires_at > tx.now,
    )
    sealed = tx.execute(query).scalar()
    if sealed is None:
        return None
    place = associated(challenge.organization_id, messages, challenge.message_id, "code_sealed")
    return Secret(vault.open(sealed, place).decode())


def any_over(tx: Tx) -> bool:
    """Whether there is a message whose life is over."""
    query = sa.select(_columns.message_id).where(_columns.expires_at <= tx.now).limit(1)
    return tx.execute(query).first() is not None


def purge(tx: Tx) -> None:
    """Destroys the messages whose life is over."""
    tx.execute(sa.delete(messages).where(_columns.expires_at <= tx.now))


def _read(row: Any) -> Message:
    return Message(
        message_id=row["message_id"],
        organization_id=row["organization_id"],
        identifier=row["identifier"],
        run_id=row["run_id"],
        challenge_id=row["challenge_id"],
        source=Source(row["source"]),
        sure=bool(row["sure"]),
        candidates=row["candidates"],
        received_at=row["received_at"],
        expires_at=row["expires_at"],
    )
