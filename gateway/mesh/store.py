"""The settings that were changed at run time: what they are now, and who changed what when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from gateway.store import METADATA
from libs.db import Timestamp, Tx
from libs.registry import ChangedSettings

NEWEST = 2**62

# Append-only: the newest change of a setting says what it is, and all of them who made it so.
setting_changes = sa.Table(
    "setting_changes",
    METADATA,
    sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("setting", sa.String(100), nullable=False, index=True),
    sa.Column("before", sa.String(100), nullable=False),
    # Empty: as the processes were started.
    sa.Column("after", sa.String(100), nullable=False),
    sa.Column("key_id", sa.String(64), nullable=False),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("change_time", Timestamp, nullable=False),
)
_NEWEST_OF_EACH = sa.select(sa.func.max(setting_changes.c.version)).group_by(
    setting_changes.c.setting
)
_SETTINGS = sa.select(setting_changes).where(setting_changes.c.version.in_(_NEWEST_OF_EACH))
_CHANGES = (
    sa.select(setting_changes)
    .where(setting_changes.c.version < sa.bindparam("before_version"))
    .order_by(setting_changes.c.version.desc())
    .limit(sa.bindparam("most"))
)


@dataclass(frozen=True)
class Change:
    """One change: who, when, what, before and after."""

    version: int
    setting: str
    before: str
    after: str
    key_id: str
    organization_id: str
    request_id: str
    change_time: datetime


def settings(tx: Tx) -> ChangedSettings:
    """Every setting that is not as it was started, and the version of all of them."""
    rows = list(tx.execute(_SETTINGS))
    values = {row.setting: row.after for row in rows if row.after}
    return ChangedSettings(max((row.version for row in rows), default=0), values)


def change(tx: Tx, setting: str, after: str, by: tuple[str, str, str]) -> ChangedSettings:
    """Makes a setting what it is to be, with a line of who did it; nothing if it is that already.

    `by` is the key, its organisation and the request.
    """
    known = settings(tx)
    before = known.values.get(setting, "")
    if before == after:
        return known
    # Grows with the time: a store that was made anew is not behind what Redis remembers.
    version = max(known.version + 1, round(tx.now.timestamp() * 1000))
    key_id, organization_id, request_id = by
    row = {
        "version": version,
        "setting": setting,
        "before": before,
        "after": after,
        "key_id": key_id,
        "organization_id": organization_id,
        "request_id": request_id,
        "change_time": tx.now,
    }
    tx.insert(setting_changes, row)
    values = {**known.values, setting: after}
    return ChangedSettings(version, {name: text for name, text in values.items() if text})


def changes(tx: Tx, before: int, most: int) -> list[Change]:
    """Changes before a version, newest first."""
    rows = tx.execute(_CHANGES, {"before_version": before, "most": most})
    return [Change(**row._mapping) for row in rows]
