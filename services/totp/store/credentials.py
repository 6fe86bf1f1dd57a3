"""Credentials: kept, found, destroyed; their secrets sealed and opened."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
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
_INSERT = sa.insert(credentials)
_CHANGE = (
    sa.update(credentials)
    .where(_columns.credential_id == sa.bindparam("id"))
    .values(
        {
            name: sa.bindparam(name)
            for name in (
                "name username identifier password_sealed seed_sealed rotated_at folder version"
            ).split()
        }
    )
)
_OURS = sa.select(credentials).where(_columns.organization_id == sa.bindparam("organization_id"))
_BY_ID = _OURS.where(_columns.credential_id == sa.bindparam("key"))
_BY_NAME = _OURS.where(_columns.name == sa.bindparam("key"))


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
    return orjson.dumps([key, seed.algorithm, seed.digits, seed.period_s, seed.alphabet])


def open_password(vault: Vault, credential: Credential, sealed: Sealed) -> Secret:
    """The password; empty when there is none."""
    if sealed.password is None:
        return Secret("")
    return Secret(vault.open(sealed.password, _place(credential, "password")).decode())


def open_seed(vault: Vault, credential: Credential, sealed: Sealed) -> Seed:
    """The seed of a credential that has one."""
    assert sealed.seed is not None
    plain = vault.open(sealed.seed, _place(credential, "seed"))
    key, *rest = orjson.loads(plain)
    return Seed(base64.b64decode(key), *rest)


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
        "rotated_at": credential.rotated_at,
        "folder": credential.folder,
        "version": credential.version,
    }
    with _unique_name(credential.name):
        tx.execute(_INSERT, values)
    audit(tx, credential, "credential.created")


def change(tx: Tx, before: Credential, after: Credential, sealed: Sealed) -> None:
    """Keeps a changed credential; Conflict when its new name is taken."""
    values = {
        "id": before.credential_id,
        "name": after.name,
        "username": after.username,
        "identifier": after.identifier,
        "password_sealed": sealed.password,
        "seed_sealed": sealed.seed,
        "rotated_at": after.rotated_at,
        "folder": after.folder,
        "version": after.version,
    }
    with _unique_name(after.name):
        tx.execute(_CHANGE, values)
    rotated = after.version != before.version
    audit(tx, after, "credential.rotated" if rotated else "credential.changed")


@contextmanager
def _unique_name(name: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise errors.Conflict(
            f"there is a credential {name!r} already", reason="NAME_TAKEN"
        ) from None


def audit(tx: Tx, credential: Credential, type_: str, **facts: str) -> None:
    """Writes to the credential's trail; facts are names and ids, never values."""
    history.append(tx, credential.credential_id, type_, dict(facts), source="totp")


def find(tx: Tx, organization_id: str, id_or_name: str) -> tuple[Credential, Sealed] | None:
    """A credential by id or by name."""
    query = _BY_ID if id_or_name.startswith("cred_") else _BY_NAME
    key = {"organization_id": organization_id, "key": id_or_name}
    row = tx.execute(query, key).mappings().first()
    return (_read(row), Sealed(row["password_sealed"], row["seed_sealed"])) if row else None


def page(tx: Tx, organization_id: str, folder: str, after: str, limit: int) -> list[Credential]:
    """Credentials by name, from the one after `after`, of a folder and those below it."""
    query = (
        sa.select(credentials)
        .where(_columns.organization_id == organization_id, _columns.name > after)
        .order_by(_columns.name)
        .limit(limit)
    )
    if folder:
        below = _columns.folder.startswith(f"{folder}/", autoescape=True)
        query = query.where(sa.or_(_columns.folder == folder, below))
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
        rotated_at=row["rotated_at"],
        folder=row["folder"],
        version=row["version"],
    )
