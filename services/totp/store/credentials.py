"""Credentials: kept, found, destroyed; their secrets sealed and opened."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from libs import errors, history
from libs.db import Tx
from libs.secrets import Secret, Vault
from services.totp.domain import Credential
from services.totp.otp import Seed
from services.totp.store.tables import associated, credentials

_columns = credentials.c


@dataclass(frozen=True)
class Sealed:
    """The secrets of a credential as they rest."""

    password: bytes | None
    seed: bytes | None


def seal(vault: Vault, credential: Credential, password: Secret, seed: Seed | None) -> Sealed:
    """Seals the secrets for the row of this credential."""
    return Sealed(
        _seal(vault, credential, "password", password.reveal().encode()) if password else None,
        _seal(vault, credential, "seed", _packed(seed)) if seed else None,
    )


def _seal(vault: Vault, credential: Credential, field: str, plain: bytes) -> bytes:
    return vault.seal(plain, _place(credential, field))


def _place(credential: Credential, field: str) -> bytes:
    return associated(
        credential.organization_id, credentials, credential.credential_id, f"{field}_sealed"
    )


def _packed(seed: Seed) -> bytes:
    key = base64.b64encode(seed.key).decode()
    return orjson.dumps([key, seed.algorithm, seed.digits, seed.period_s])


def open_password(vault: Vault, credential: Credential, sealed: Sealed) -> Secret:
    """The password; empty when there is none."""
    if sealed.password is None:
        return Secret("")
    return Secret(vault.open(sealed.password, _place(credential, "password")).decode())


def open_seed(vault: Vault, credential: Credential, sealed: Sealed) -> Seed:
    """The seed of a credential that has one."""
    assert sealed.seed is not None
    plain = vault.open(sealed.seed, _place(credential, "seed"))
    key, algorithm, digits, period_s = orjson.loads(plain)
    return Seed(base64.b64decode(key), algorithm, digits, period_s)


def insert(tx: Tx, credential: Credential, sealed: Sealed) -> None:
    """Keeps a new credential; Conflict when the name is taken."""
    values = {
        "credential_id": credential.credential_id,
        "organization_id": credential.organization_id,
        "name": credential.name,
        "username": credential.username,
        "identifier": credential.identifier,
        "password_sealed": sealed.password,
        "seed_sealed": sealed.seed,
        "created_at": credential.created_at,
    }
    try:
        tx.execute(sa.insert(credentials).values(**values))
    except IntegrityError:
        raise errors.Conflict(
            f"there is a credential {credential.name!r} already", reason="NAME_TAKEN"
        ) from None
    audit(tx, credential, "credential.created")


def audit(tx: Tx, credential: Credential, type_: str, **facts: str) -> None:
    """Writes to the credential's trail; facts are names and ids, never values."""
    history.append(tx, credential.credential_id, type_, dict(facts), source="totp")


def find(tx: Tx, organization_id: str, id_or_name: str) -> tuple[Credential, Sealed] | None:
    """A credential by id or by name."""
    key = _columns.credential_id if id_or_name.startswith("cred_") else _columns.name
    query = sa.select(credentials).where(
        _columns.organization_id == organization_id, key == id_or_name
    )
    row = tx.execute(query).mappings().first()
    return (_read(row), Sealed(row["password_sealed"], row["seed_sealed"])) if row else None


def page(tx: Tx, organization_id: str, after: str, limit: int) -> list[Credential]:
    """Credentials by name, from the one after `after`."""
    query = (
        sa.select(credentials)
        .where(_columns.organization_id == organization_id, _columns.name > after)
        .order_by(_columns.name)
        .limit(limit)
    )
    return [_read(row) for row in tx.execute(query).mappings()]


def delete(tx: Tx, credential: Credential) -> None:
    """Destroys a credential and its secrets."""
    key = _columns.credential_id == credential.credential_id
    if tx.execute(sa.delete(credentials).where(key)).rowcount:
        audit(tx, credential, "credential.deleted")


def _read(row: Any) -> Credential:
    return Credential(
        credential_id=row["credential_id"],
        organization_id=row["organization_id"],
        name=row["name"],
        username=row["username"],
        identifier=row["identifier"],
        has_password=row["password_sealed"] is not None,
        has_seed=row["seed_sealed"] is not None,
        created_at=row["created_at"],
    )
