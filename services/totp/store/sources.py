"""Sources of codes: kept, found, destroyed; what became of watching them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from libs import db, errors, lease
from libs.db import Tx
from libs.lease import Work
from libs.secrets import Secret, Vault
from services.totp.domain import CodeSource, MailTarget, PullTarget, Security, SourceState
from services.totp.store.tables import associated, sources

KEY = "source_id"
TOPIC = "totp-sources"
MOST_OF_ONE = 100
_columns = sources.c
_INSERT = sa.insert(sources)
_OURS = sa.select(sources).where(_columns.organization_id == sa.bindparam("organization_id"))
_BY_ID = _OURS.where(_columns.source_id == sa.bindparam("key"))
_BY_NAME = _OURS.where(_columns.name == sa.bindparam("key"))
_PAGE = (
    _OURS.where(_columns.name > sa.bindparam("after"))
    .order_by(_columns.name)
    .limit(sa.bindparam("most"))
)
_COUNT = (
    sa.select(sa.func.count())
    .select_from(sources)
    .where(_columns.organization_id == sa.bindparam("organization_id"))
)
_DELETE = sa.delete(sources).where(_columns.source_id == sa.bindparam("id"))
_SET_STATE = (
    sa.update(sources)
    .where(_columns.source_id == sa.bindparam("id"))
    .values(state=sa.bindparam("new_state"), failure=sa.bindparam("why"))
)
_SET_PLACE = (
    sa.update(sources)
    .where(_columns.source_id == sa.bindparam("id"))
    .values(place=sa.bindparam("new_place", type_=db.JSON))
)
_SET_RECEIVED = (
    sa.update(sources)
    .where(_columns.source_id == sa.bindparam("id"))
    .values(received_at=sa.bindparam("at", type_=db.Timestamp))
)


def insert(tx: Tx, vault: Vault, source: CodeSource, secret: Secret) -> None:
    """Keeps a new source; Conflict when the name is taken."""
    count = tx.execute(_COUNT, {"organization_id": source.organization_id}).scalar() or 0
    if count >= MOST_OF_ONE:
        raise errors.Exhausted(f"an organisation has at most {MOST_OF_ONE} sources")
    values = {
        "source_id": source.source_id,
        "organization_id": source.organization_id,
        "name": source.name,
        "identifier": source.identifier,
        "kind": "mailbox" if isinstance(source.target, MailTarget) else "pull",
        "target": asdict(source.target),
        "secret_sealed": vault.seal(secret.reveal().encode(), _place(source)),
        "state": source.state.value,
        "failure": "",
        "created_at": source.created_at,
    }
    try:
        tx.execute(_INSERT, values)
    except IntegrityError:
        raise errors.Conflict(
            f"there is a source {source.name!r} already", reason="NAME_TAKEN"
        ) from None
    tx.notify(TOPIC)


def find(tx: Tx, organization_id: str, id_or_name: str) -> CodeSource | None:
    """A source by id or by name."""
    query = _BY_ID if id_or_name.startswith("src_") else _BY_NAME
    key = {"organization_id": organization_id, "key": id_or_name}
    row = tx.execute(query, key).mappings().first()
    return read(row) if row else None


def page(tx: Tx, organization_id: str, after: str, limit: int) -> list[CodeSource]:
    """Sources by name, from the one after `after`."""
    key = {"organization_id": organization_id, "after": after, "most": limit}
    return [read(row) for row in tx.execute(_PAGE, key).mappings()]


def delete(tx: Tx, source: CodeSource) -> None:
    """Destroys a source and its secret; whoever watches it loses the lease."""
    tx.execute(_DELETE, {"id": source.source_id})


def note(tx: Tx, work: Work, state: SourceState, failure: str = "") -> None:
    """Keeps how the source fares, unless somebody else watches it by now."""
    lease.guarded(tx, sources, KEY, work.key, work.fence)
    tx.execute(_SET_STATE, {"id": work.key, "new_state": state.value, "why": failure[:256]})


def advance(tx: Tx, work: Work, place: dict[str, int]) -> None:
    """Keeps how far a mailbox was read."""
    lease.guarded(tx, sources, KEY, work.key, work.fence)
    tx.execute(_SET_PLACE, {"id": work.key, "new_place": place})


def received(tx: Tx, work: Work) -> None:
    """Keeps that the source has brought a code."""
    tx.execute(_SET_RECEIVED, {"id": work.key, "at": tx.now})


def open_secret(vault: Vault, source: CodeSource, sealed: bytes) -> Secret:
    """The password of a mailbox, or the key that signs requests."""
    return Secret(vault.open(sealed, _place(source)).decode())


def _place(source: CodeSource) -> bytes:
    return associated(source.organization_id, sources, source.source_id, "secret_sealed")


def read(row: Any) -> CodeSource:
    """A source from its row."""
    target = row["target"]
    return CodeSource(
        source_id=row["source_id"],
        organization_id=row["organization_id"],
        name=row["name"],
        identifier=row["identifier"],
        target=(
            MailTarget(**{**target, "security": Security(target["security"])})
            if row["kind"] == "mailbox"
            else PullTarget(**target)
        ),
        created_at=row["created_at"],
        state=SourceState(row["state"]),
        failure=row["failure"],
        place=row["place"],
        received_at=row["received_at"],
    )
