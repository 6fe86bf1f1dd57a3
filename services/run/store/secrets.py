"""What a run asks of its session and nobody may read: sealed for its row, gone with the run."""

from __future__ import annotations

import sqlalchemy as sa

from libs import context, db
from libs.resealing import SealedColumn
from services.run.store.tables import session_secrets

_FORGET = (
    sa.delete(session_secrets)
    .where(session_secrets.c.run_id == sa.bindparam("run_id"))
    .where(session_secrets.c.organization_id == sa.bindparam("organization_id"))
)


def wish_place(run_id: str) -> bytes:
    """What ties a sealed wish to its run."""
    return f"{run_id}/session".encode()


SEALED = [SealedColumn(session_secrets.c.wish_sealed, lambda row: wish_place(row.run_id))]


def keep_wish(tx: db.Tx, run_id: str, sealed: bytes) -> None:
    """Keeps the whole wish of a run, secrets and all."""
    mine = {"run_id": run_id, "organization_id": context.organization()}
    tx.insert(session_secrets, {**mine, "wish_sealed": sealed})


def sealed_wish(tx: db.Tx, run_id: str) -> bytes | None:
    """The whole wish of a run; None when it has no secrets."""
    row = tx.first(session_secrets, run_id=run_id, organization_id=context.organization())
    return row.wish_sealed if row is not None else None


def forget_wish(tx: db.Tx, run_id: str) -> None:
    """Forgets it: the run has ended."""
    tx.execute(_FORGET, {"run_id": run_id, "organization_id": context.organization()})
