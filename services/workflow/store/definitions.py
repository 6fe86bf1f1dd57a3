"""Definitions and their versions: the SQL on them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from libs.db import Tx
from services.workflow.domain import Version

from .schema import versions, workflows

_MINE = sa.bindparam("organization_id")
_IN_USE = sa.select(workflows.c.workflow_id, workflows.c.version).where(
    workflows.c.organization_id == _MINE,
    sa.or_(
        workflows.c.workflow_id == sa.bindparam("name"),
        workflows.c.name_key == sa.bindparam("name"),
    ),
    workflows.c.deleted_at.is_(None),
)
_VERSIONS = (
    sa.select(versions, workflows.c.name, workflows.c.created_at.label("workflow_created_at"))
    .join(workflows, workflows.c.workflow_id == versions.c.workflow_id)
    .where(versions.c.organization_id == _MINE, workflows.c.organization_id == _MINE)
)
_VERSION = _VERSIONS.where(
    versions.c.workflow_id == sa.bindparam("workflow_id"),
    versions.c.version == sa.bindparam("number"),
)
_NEWEST = (
    _VERSIONS.where(versions.c.version == workflows.c.version, workflows.c.deleted_at.is_(None))
    .where(workflows.c.name > sa.bindparam("after"))
    .order_by(workflows.c.name)
    .limit(sa.bindparam("limit"))
)


def add_workflow(tx: Tx, version: Version) -> None:
    """Writes a new workflow and its first version."""
    tx.execute(
        sa.insert(workflows).values(
            workflow_id=version.workflow_id,
            organization_id=version.organization_id,
            name=version.name,
            name_key=version.name,
            version=version.version,
            digest=version.digest,
            created_at=version.created_at,
        )
    )
    _add_version(tx, version)


def replace_version(tx: Tx, version: Version) -> bool:
    """Makes a version the newest; False when another was faster."""
    changed = tx.execute(
        sa.update(workflows)
        .where(
            workflows.c.workflow_id == version.workflow_id,
            workflows.c.organization_id == version.organization_id,
            workflows.c.version == version.version - 1,
            workflows.c.deleted_at.is_(None),
        )
        .values(version=version.version, digest=version.digest)
    )
    if changed.rowcount == 0:
        return False
    _add_version(tx, version)
    return True


def _add_version(tx: Tx, version: Version) -> None:
    tx.execute(
        sa.insert(versions).values(
            workflow_id=version.workflow_id,
            version=version.version,
            organization_id=version.organization_id,
            document=version.document,
            digest=version.digest,
            created_at=version.updated_at,
        )
    )


def name_is_taken(tx: Tx, organization_id: str, name: str) -> bool:
    """Whether a workflow in use has this name."""
    query = sa.select(workflows.c.workflow_id).where(
        workflows.c.organization_id == organization_id, workflows.c.name_key == name
    )
    return tx.execute(query).first() is not None


def resolve(tx: Tx, organization_id: str, name: str) -> tuple[str, int] | None:
    """Id and newest version of the workflow in use with this id or name."""
    row = tx.execute(_IN_USE, {"organization_id": organization_id, "name": name}).first()
    return None if row is None else (row.workflow_id, row.version)


def version(tx: Tx, organization_id: str, workflow_id: str, number: int) -> Version | None:
    """One version, of workflows out of use too: runs that have begun go on."""
    which = {"organization_id": organization_id, "workflow_id": workflow_id, "number": number}
    row = tx.execute(_VERSION, which).first()
    return None if row is None else _version(row)


def list_newest(tx: Tx, organization_id: str, after: str, limit: int) -> list[Version]:
    """Workflows in use by name, each in its newest version, from just after a name."""
    page = {"organization_id": organization_id, "after": after, "limit": limit}
    return [_version(row) for row in tx.execute(_NEWEST, page)]


def _version(row: Any) -> Version:
    return Version(
        workflow_id=row.workflow_id,
        organization_id=row.organization_id,
        name=row.name,
        version=row.version,
        document=row.document,
        digest=row.digest,
        created_at=row.workflow_created_at,
        updated_at=row.created_at,
    )


def retire(tx: Tx, organization_id: str, name: str) -> bool:
    """Takes a workflow out of use, by id or name; False when there never was one."""
    mine = workflows.c.organization_id == organization_id
    tx.execute(
        sa.update(workflows)
        .where(
            mine,
            sa.or_(workflows.c.workflow_id == name, workflows.c.name_key == name),
            workflows.c.deleted_at.is_(None),
        )
        .values(deleted_at=tx.now, name_key=workflows.c.name + "#" + workflows.c.workflow_id)
    )
    known = sa.or_(workflows.c.workflow_id == name, workflows.c.name == name)
    return tx.execute(sa.select(workflows.c.workflow_id).where(mine, known)).first() is not None
