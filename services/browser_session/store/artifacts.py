"""SQL over artifacts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from libs import errors
from libs.db import Tx
from services.browser_session.domain import Artifact, Kind
from services.browser_session.store.tables import ARTIFACTS, SESSIONS, changed, older


def add(tx: Tx, session_id: str, **values: Any) -> Artifact:
    """Adds an artifact at the end of its session's list and says so on the bus."""
    tx.execute(
        update(SESSIONS)
        .where(SESSIONS.c.session_id == session_id)
        .values(artifact_count=SESSIONS.c.artifact_count + 1, active_at=tx.now)
    )
    owner = tx.execute(select(SESSIONS).where(SESSIONS.c.session_id == session_id)).one()
    added = Artifact(
        organization_id=owner.organization_id,
        session_id=session_id,
        run_id=owner.run_id,
        position=owner.artifact_count,
        created_at=tx.now,
        **values,
    )
    tx.execute(insert(ARTIFACTS).values(**vars(added)))
    tx.notify(changed(session_id))
    tell(tx, added)
    return added


def tell(tx: Tx, added: Artifact) -> None:
    """Says on the bus that there is another artifact."""
    tx.publish(
        "artifact.created",
        {
            "artifact_id": added.artifact_id,
            "browser_session_id": added.session_id,
            "kind": added.kind.value,
            "name": added.name,
            "size_bytes": added.size_bytes,
        },
        organization_id=added.organization_id,
        run_id=added.run_id,
    )


def get(tx: Tx, organization_id: str, artifact_id: str) -> Artifact:
    """One artifact of the organisation; raises NotFound."""
    query = select(ARTIFACTS).where(
        ARTIFACTS.c.organization_id == organization_id, ARTIFACTS.c.artifact_id == artifact_id
    )
    row = tx.execute(query).one_or_none()
    if row is None:
        raise errors.NotFound("artifact", artifact_id)
    return _artifact(row)


def last_id(tx: Tx, session_id: str) -> str:
    """The newest artifact of a session; empty when it has none."""
    query = select(ARTIFACTS.c.artifact_id).where(ARTIFACTS.c.session_id == session_id)
    return tx.execute(query.order_by(ARTIFACTS.c.position.desc()).limit(1)).scalar() or ""


def first_download_after(tx: Tx, session_id: str, position: int) -> Artifact | None:
    """The first download of a session behind a place in its list of artifacts."""
    query = select(ARTIFACTS).where(
        ARTIFACTS.c.session_id == session_id,
        ARTIFACTS.c.kind == Kind.DOWNLOAD,
        ARTIFACTS.c.position > position,
    )
    row = tx.execute(query.order_by(ARTIFACTS.c.position).limit(1)).one_or_none()
    return _artifact(row) if row else None


def page(
    tx: Tx,
    organization_id: str,
    run_id: str,
    session_id: str,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[Artifact]:
    """Artifacts of the organisation, newest first, older than `before`."""
    query = select(ARTIFACTS).where(ARTIFACTS.c.organization_id == organization_id)
    if run_id:
        query = query.where(ARTIFACTS.c.run_id == run_id)
    if session_id:
        query = query.where(ARTIFACTS.c.session_id == session_id)
    query = older(query, ARTIFACTS.c.created_at, ARTIFACTS.c.artifact_id, before)
    return [_artifact(row) for row in tx.execute(query.limit(limit))]


def _artifact(row: Row[Any]) -> Artifact:
    return Artifact(**{**row._mapping, "kind": Kind(row.kind)})
