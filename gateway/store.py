"""Organisations and their API keys: the gateway's own schema, and the only SQL of the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from libs.db import Timestamp, Tx

METADATA = sa.MetaData()

organizations = sa.Table(
    "organizations",
    METADATA,
    sa.Column("organization_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("create_time", Timestamp, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("key_id", sa.String(64), primary_key=True),
    sa.Column(
        "organization_id",
        sa.String(64),
        sa.ForeignKey("organizations.organization_id"),
        nullable=False,
        index=True,
    ),
    # The readable part of a key, by which it is found; the rest is kept as a hash only.
    sa.Column("handle", sa.String(16), nullable=False, unique=True),
    sa.Column("secret_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("create_time", Timestamp, nullable=False),
    sa.Column("expire_time", Timestamp),
    sa.Column("revoke_time", Timestamp),
)

_FIRST_ORGANIZATION = (
    sa.select(organizations.c.organization_id)
    .order_by(organizations.c.create_time, organizations.c.organization_id)
    .limit(1)
)


@dataclass(frozen=True)
class StoredKey:
    """A key as it is kept."""

    key_id: str
    organization_id: str
    handle: str
    secret_sha256: bytes
    expire_time: datetime | None = None
    revoke_time: datetime | None = None


def has_organizations(tx: Tx) -> bool:
    """Whether this is no longer the first start."""
    return tx.execute(sa.select(organizations.c.organization_id).limit(1)).first() is not None


def operator(tx: Tx) -> str:
    """The organisation that operates the mesh: the first that there was."""
    return tx.execute(_FIRST_ORGANIZATION).scalar() or ""


def add_organization(tx: Tx, organization_id: str, name: str) -> None:
    """Keep a new organisation."""
    row = {"organization_id": organization_id, "name": name, "create_time": tx.now}
    tx.execute(sa.insert(organizations).values(row))


def add_key(tx: Tx, key: StoredKey, name: str) -> None:
    """Keep a new key."""
    tx.execute(
        sa.insert(api_keys).values(
            key_id=key.key_id,
            organization_id=key.organization_id,
            handle=key.handle,
            secret_sha256=key.secret_sha256,
            name=name,
            create_time=tx.now,
            expire_time=key.expire_time,
            revoke_time=key.revoke_time,
        )
    )


def key_by_handle(tx: Tx, handle: str) -> StoredKey | None:
    """The key with this handle, of whichever organisation: it is what tells the organisation."""
    row = tx.execute(sa.select(api_keys).where(api_keys.c.handle == handle)).mappings().first()
    if row is None:
        return None
    return StoredKey(
        key_id=row["key_id"],
        organization_id=row["organization_id"],
        handle=row["handle"],
        secret_sha256=bytes(row["secret_sha256"]),
        expire_time=row["expire_time"],
        revoke_time=row["revoke_time"],
    )


def revoke_key(tx: Tx, organization_id: str, key_id: str) -> None:
    """Refuse a key from now on."""
    its = (api_keys.c.organization_id == organization_id) & (api_keys.c.key_id == key_id)
    tx.execute(sa.update(api_keys).where(its).values(revoke_time=tx.now))
