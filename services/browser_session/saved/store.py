"""SQL over saved profiles and their versions."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from libs import errors
from libs.db import Timestamp, Tx
from services.browser_session.domain import LIVE
from services.browser_session.saved.domain import KEPT_VERSIONS, SavedProfile, Version
from services.browser_session.store.tables import METADATA, PROFILES, SESSIONS, older

SAVED = sa.Table(
    "saved_profiles",
    METADATA,
    sa.Column("profile_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("request_id", sa.String(128), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False),
    sa.Index("saved_profiles_by_organization", "organization_id", "created_at"),
    sa.Index("saved_profiles_by_request", "organization_id", "request_id"),
)
VERSIONS = sa.Table(
    "saved_profile_versions",
    METADATA,
    sa.Column("profile_id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("cookies", sa.Integer, nullable=False),
    sa.Column("origins", sa.Integer, nullable=False),
    sa.Column("session_id", sa.String(64), nullable=False),
    sa.Column("saved_at", Timestamp, nullable=False),
)
_ORGANIZATION = SAVED.c.organization_id == sa.bindparam("organization_id")
_BY_ID = sa.select(SAVED).where(_ORGANIZATION, SAVED.c.profile_id == sa.bindparam("profile_id"))
_LOCKED = _BY_ID.with_for_update()
_BY_REQUEST = sa.select(SAVED).where(
    _ORGANIZATION, SAVED.c.request_id == sa.bindparam("request_id")
)
_INSERT = sa.insert(SAVED)
_INSERT_VERSION = sa.insert(VERSIONS)
_ADVANCE = (
    sa.update(SAVED)
    .where(SAVED.c.profile_id == sa.bindparam("id"))
    .values(version=sa.bindparam("new_version"), updated_at=sa.bindparam("at"))
)
_OF_PROFILE = VERSIONS.c.profile_id == sa.bindparam("id")
_SHOWN = [VERSIONS.c[name] for name in ("version", "cookies", "origins", "session_id", "saved_at")]
_VERSIONS = sa.select(*_SHOWN).where(_OF_PROFILE).order_by(VERSIONS.c.version.desc())
_CONTENT = sa.select(VERSIONS.c.sealed).where(
    _OF_PROFILE, VERSIONS.c.version == sa.bindparam("number")
)
_DROP_OLD = sa.delete(VERSIONS).where(_OF_PROFILE, VERSIONS.c.version <= sa.bindparam("oldest"))
_DROP_ALL = sa.delete(VERSIONS).where(_OF_PROFILE)
_DROP = sa.delete(SAVED).where(SAVED.c.profile_id == sa.bindparam("id"))
_LEFT = (
    sa.select(PROFILES.c.session_id)
    .join(SESSIONS, SESSIONS.c.session_id == PROFILES.c.session_id)
    .where(
        SESSIONS.c.has_process.is_(False),
        SESSIONS.c.state.not_in([state.value for state in LIVE]),
    )
)


def add(tx: Tx, new: SavedProfile) -> SavedProfile:
    """Adds a profile without a version; answers the one that this request made before, if any."""
    if new.request_id:
        key = {"organization_id": new.organization_id, "request_id": new.request_id}
        known = tx.execute(_BY_REQUEST, key).one_or_none()
        if known is not None:
            return SavedProfile(**known._mapping)
    tx.execute(_INSERT, asdict(new))
    return new


def get(tx: Tx, organization_id: str, profile_id: str, lock: bool = False) -> SavedProfile:
    """One profile of the organisation; raises NotFound."""
    key = {"organization_id": organization_id, "profile_id": profile_id}
    row = tx.execute(_LOCKED if lock else _BY_ID, key).one_or_none()
    if row is None:
        raise errors.NotFound("browser profile", profile_id)
    return SavedProfile(**row._mapping)


def page(
    tx: Tx, organization_id: str, before: tuple[datetime, str] | None, limit: int
) -> list[SavedProfile]:
    """Profiles of the organisation, newest first, older than `before`."""
    query = sa.select(SAVED).where(SAVED.c.organization_id == organization_id)
    query = older(query, SAVED.c.created_at, SAVED.c.profile_id, before)
    return [SavedProfile(**row._mapping) for row in tx.execute(query.limit(limit))]


def versions(tx: Tx, profile_id: str) -> list[Version]:
    """The versions of a profile that are kept, newest first."""
    return [Version(**row._mapping) for row in tx.execute(_VERSIONS, {"id": profile_id})]


def content(tx: Tx, profile_id: str, version: int) -> bytes | None:
    """The sealed content of a version; None when it is not kept."""
    return tx.execute(_CONTENT, {"id": profile_id, "number": version}).scalar()


def append(tx: Tx, profile: SavedProfile, new: Version, sealed: bytes) -> None:
    """Adds the next version of a locked profile and drops what is too old to keep."""
    key = {"profile_id": profile.profile_id, "organization_id": profile.organization_id}
    tx.execute(_INSERT_VERSION, {**key, **asdict(new), "sealed": sealed})
    moved: dict[str, Any] = {"new_version": new.version, "at": tx.now}
    tx.execute(_ADVANCE, {"id": profile.profile_id, **moved})
    tx.execute(_DROP_OLD, {"id": profile.profile_id, "oldest": new.version - KEPT_VERSIONS})


def remove(tx: Tx, profile_id: str) -> None:
    """Forgets a profile and all its versions."""
    tx.execute(_DROP_ALL, {"id": profile_id})
    tx.execute(_DROP, {"id": profile_id})


def left_behind(tx: Tx) -> list[str]:
    """The sessions that have ended without a browser and whose own profile is still to be saved."""
    return list(tx.execute(_LEFT).scalars())
