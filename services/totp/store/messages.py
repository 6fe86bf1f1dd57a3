"""Received messages: sealed, given to one challenge each, gone after their short life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from libs import db, hosts
from libs.db import Tx
from libs.secrets import Secret, Vault
from services.totp.domain import Challenge, Message, Source
from services.totp.store.tables import associated, messages

_columns = messages.c
MOST_LOOKED_AT = 50
_BY_EXTERNAL_ID = sa.select(messages).where(
    _columns.organization_id == sa.bindparam("organization_id"),
    _columns.external_id == sa.bindparam("external_id"),
)
_GIVEN = sa.select(_columns.code_sealed, _columns.link_sealed).where(
    _columns.message_id == sa.bindparam("message_id"),
    _columns.claimed_by == sa.bindparam("challenge_id"),
    _columns.expires_at > sa.bindparam("now", type_=db.Timestamp),
)
_FREE_AT = sa.select(_columns.message_id, _columns.code_sealed).where(
    _columns.organization_id == sa.bindparam("organization_id"),
    _columns.identifier == sa.bindparam("identifier"),
    _columns.claimed_by.is_(None),
    _columns.sure.is_(True),
)
_DELETE = sa.delete(messages).where(_columns.message_id == sa.bindparam("id"))


@dataclass(frozen=True)
class Contents:
    """What is kept of a message: its code, else its link and its redacted text."""

    code: Secret
    link: Secret
    redacted: Secret


def insert(tx: Tx, vault: Vault, message: Message, contents: Contents) -> bool:
    """Keeps a message; False when this very e-mail has come in before."""

    def sealed(field: str, value: Secret) -> bytes | None:
        if not value:
            return None
        place = _place(message.organization_id, message.message_id, field)
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
        "code_sealed": sealed("code_sealed", contents.code),
        "link_sealed": sealed("link_sealed", contents.link),
        "link_host": message.link_host,
        "content_sealed": sealed("content_sealed", contents.redacted),
        "external_id": message.external_id or None,
        "received_at": message.received_at,
        "expires_at": message.expires_at,
    }
    return tx.insert_new(messages, **values)


def find_external(tx: Tx, organization_id: str, external_id: str) -> Message | None:
    """The message that is this e-mail."""
    key = {"organization_id": organization_id, "external_id": external_id}
    row = tx.execute(_BY_EXTERNAL_ID, key).mappings().first()
    return _read(row) if row else None


def page(tx: Tx, organization_id: str, before: str, limit: int) -> list[tuple[Message, bytes]]:
    """Messages, newest first, from the one before `before`, with their sealed redacted text."""
    query = sa.select(messages).where(
        _columns.organization_id == organization_id, _columns.expires_at > tx.now
    )
    if before:
        query = query.where(_columns.message_id < before)
    query = query.order_by(_columns.message_id.desc()).limit(limit)
    return [(_read(row), row["content_sealed"] or b"") for row in tx.execute(query).mappings()]


def open_redacted(vault: Vault, message: Message, sealed: bytes) -> str:
    """The redacted text of a message; empty when none is kept."""
    place = _place(message.organization_id, message.message_id, "content_sealed")
    return vault.open(sealed, place).decode() if sealed else ""


def _place(organization_id: str, message_id: str, field: str) -> bytes:
    return associated(organization_id, messages, message_id, field)


def best_for(tx: Tx, challenge: Challenge) -> Message | None:
    """The message that serves this challenge best: the most closely addressed, then the newest."""
    found = (_read(row) for row in tx.execute(_candidates(tx, challenge)).mappings())
    return next((one for one in found if one.sure or _takes_link(challenge, one)), None)


def _takes_link(challenge: Challenge, message: Message) -> bool:
    return hosts.accepts(challenge.link_hosts, message.link_host)


def _candidates(tx: Tx, challenge: Challenge) -> sa.Select[Any]:
    addressed = _columns.challenge_id == challenge.challenge_id
    of_run = sa.and_(_columns.run_id != "", _columns.run_id == challenge.run_id)
    at_its_place = sa.and_(
        _columns.challenge_id == "",
        sa.or_(_columns.run_id == "", of_run),
        _columns.identifier == challenge.identifier,
        _columns.identifier != "",
        _columns.received_at >= challenge.not_before,
    )
    holds = _columns.sure.is_(True)
    if challenge.link_hosts:
        holds = sa.or_(holds, _columns.link_host != "")
    return (
        sa.select(messages)
        .where(
            _columns.organization_id == challenge.organization_id,
            holds,
            _columns.claimed_by.is_(None),
            _columns.expires_at > tx.now,
            sa.or_(addressed, at_its_place),
        )
        .order_by(
            sa.case((addressed, 0), (of_run, 1), else_=2),
            _columns.received_at.desc(),
            _columns.message_id.desc(),
        )
        .limit(MOST_LOOKED_AT if challenge.link_hosts else 1)
    )


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


def contents_of(tx: Tx, vault: Vault, challenge: Challenge) -> Contents | None:
    """The code or link that was given to this challenge, while it is kept."""
    key = {
        "message_id": challenge.message_id,
        "challenge_id": challenge.challenge_id,
        "now": tx.now,
    }
    row = tx.execute(_GIVEN, key).mappings().first()
    if row is None:
        return None

    def opened(field: str) -> Secret:
        place = _place(challenge.organization_id, challenge.message_id, field)
        return Secret(vault.open(row[field], place).decode() if row[field] else "")

    return Contents(opened("code_sealed"), opened("link_sealed"), Secret(""))


def burn(tx: Tx, message: Message) -> None:
    """Destroys the secrets of a message whose code the site refused."""
    tx.execute(_DELETE, {"id": message.message_id})


def burn_copies(tx: Tx, vault: Vault, challenge: Challenge, refused: Secret) -> None:
    """Takes free messages with the refused code out of use: the same code came twice."""
    key = {"organization_id": challenge.organization_id, "identifier": challenge.identifier}
    for row in tx.execute(_FREE_AT, key).mappings().all():
        place = _place(challenge.organization_id, row["message_id"], "code_sealed")
        if vault.open(row["code_sealed"], place).decode() == refused.reveal():
            tx.execute(_DELETE, {"id": row["message_id"]})


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
        link_host=row["link_host"],
        external_id=row["external_id"] or "",
        claimed_by=row["claimed_by"] or "",
    )
