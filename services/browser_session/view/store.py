"""The tables of what is seen and done from outside, and the only SQL over them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from libs import errors
from libs.db import JSON, Timestamp, Tx
from services.browser_session.domain import Artifact, Kind
from services.browser_session.store import artifacts
from services.browser_session.store.tables import ARTIFACTS, METADATA, REPLICAS, changed
from services.browser_session.view.usage import Usage

USAGE = sa.Table(
    "usage",
    METADATA,
    sa.Column("session_id", sa.String(64), primary_key=True),
    sa.Column("commands", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.BigInteger, nullable=False),
    sa.Column("bytes_in", sa.BigInteger, nullable=False),
    sa.Column("bytes_out", sa.BigInteger, nullable=False),
)

CONTROLS = sa.Table(
    "controls",
    METADATA,
    sa.Column("session_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("control_id", sa.String(64), nullable=False),
    sa.Column("holder", sa.String(100), nullable=False),
    # The owner of the browser has seen it, and the agent acts no more.
    sa.Column("is_settled", sa.Boolean, nullable=False),
    sa.Column("taken_at", Timestamp, nullable=False),
    sa.Column("until", Timestamp, nullable=False),
)

UPLOADS = sa.Table(
    "uploads",
    METADATA,
    sa.Column("artifact_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("content_type", sa.String(100), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
)

RECORDINGS = sa.Table(
    "recordings",
    METADATA,
    sa.Column("session_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("kinds", JSON, nullable=False),
    sa.Column("is_wanted", sa.Boolean, nullable=False),
    # The owner of the browser has begun.
    sa.Column("has_begun", sa.Boolean, nullable=False),
    # Where it is on disk, and the replica that writes it; empty when nobody does.
    sa.Column("tape", sa.String(64), nullable=False),
    sa.Column("writer", sa.String(128), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    # What came of it, once it has ended.
    sa.Column("artifact_ids", JSON),
    sa.Index("recordings_by_writer", "writer"),
)

_COUNTERS = ("commands", "refused", "bytes_in", "bytes_out")
_USAGE = sa.select(USAGE).where(USAGE.c.session_id == sa.bindparam("session_id"))
_ADD_USAGE = (
    sa.update(USAGE)
    .where(USAGE.c.session_id == sa.bindparam("key"))
    .values({name: USAGE.c[name] + sa.bindparam(f"more_{name}") for name in _COUNTERS})
)
_INSERT_USAGE = sa.insert(USAGE)
_CONTROL = sa.select(CONTROLS).where(CONTROLS.c.session_id == sa.bindparam("session_id"))
_CONTROLS = sa.select(CONTROLS).where(
    CONTROLS.c.session_id.in_(sa.bindparam("session_ids", expanding=True))
)
_INSERT_CONTROL = sa.insert(CONTROLS)
_RENEW_CONTROL = (
    sa.update(CONTROLS)
    .where(
        CONTROLS.c.session_id == sa.bindparam("key"),
        CONTROLS.c.control_id == sa.bindparam("control"),
    )
    .values(until=sa.bindparam("new_until"))
)
_SETTLE_CONTROL = (
    sa.update(CONTROLS)
    .where(
        CONTROLS.c.session_id == sa.bindparam("key"),
        CONTROLS.c.control_id == sa.bindparam("control"),
    )
    .values(is_settled=True)
)
_DELETE_CONTROL = sa.delete(CONTROLS).where(
    CONTROLS.c.session_id == sa.bindparam("session_id"),
    CONTROLS.c.control_id == sa.bindparam("control_id"),
)
_UPLOAD = sa.select(UPLOADS).where(
    UPLOADS.c.organization_id == sa.bindparam("organization_id"),
    UPLOADS.c.artifact_id == sa.bindparam("artifact_id"),
)
_INSERT_UPLOAD = sa.insert(UPLOADS)
_GROW_UPLOAD = (
    sa.update(UPLOADS)
    .where(UPLOADS.c.artifact_id == sa.bindparam("key"))
    .values(size_bytes=sa.bindparam("new_size"))
)
_ABANDONED = (
    sa.select(UPLOADS)
    .where(UPLOADS.c.created_at < sa.bindparam("before", type_=Timestamp))
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_FORGET_UPLOADS = sa.delete(UPLOADS).where(
    UPLOADS.c.artifact_id.in_(sa.bindparam("artifact_ids", expanding=True))
)
_INSERT_ARTIFACT = sa.insert(ARTIFACTS)
_EXPIRED = (
    sa.select(ARTIFACTS)
    .where(ARTIFACTS.c.expires_at <= sa.bindparam("now", type_=Timestamp))
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_FORGET_ARTIFACTS = sa.delete(ARTIFACTS).where(
    ARTIFACTS.c.artifact_id.in_(sa.bindparam("artifact_ids", expanding=True))
)
_RECORDINGS = sa.select(RECORDINGS).where(
    RECORDINGS.c.session_id.in_(sa.bindparam("session_ids", expanding=True))
)
_FORGET_RECORDING = sa.delete(RECORDINGS).where(
    RECORDINGS.c.session_id == sa.bindparam("session_id")
)
_INSERT_RECORDING = sa.insert(RECORDINGS)
_STOP_RECORDING = (
    sa.update(RECORDINGS)
    .where(RECORDINGS.c.session_id == sa.bindparam("key"))
    .values(is_wanted=False)
)
_BEGUN_RECORDING = (
    sa.update(RECORDINGS)
    .where(RECORDINGS.c.session_id == sa.bindparam("key"))
    .values(has_begun=True)
)
_KEEP_RECORDING = (
    sa.update(RECORDINGS)
    .where(
        RECORDINGS.c.session_id == sa.bindparam("key"),
        RECORDINGS.c.tape == sa.bindparam("its_tape"),
        RECORDINGS.c.writer == sa.bindparam("its_writer"),
    )
    .values(is_wanted=False, writer="", artifact_ids=sa.bindparam("kept", type_=JSON))
)
_LEFT_RECORDINGS = sa.select(RECORDINGS).where(
    RECORDINGS.c.writer != "", RECORDINGS.c.writer.not_in(sa.select(REPLICAS.c.replica))
)


@dataclass(frozen=True)
class Recording:
    """What is recorded of a session, or was."""

    session_id: str
    organization_id: str
    kinds: frozenset[Kind]
    is_wanted: bool
    has_begun: bool
    artifact_ids: tuple[str, ...] | None
    tape: str = ""
    writer: str = ""
    generation: int = 0


@dataclass(frozen=True)
class Upload:
    """A file that is coming in."""

    artifact_id: str
    organization_id: str
    name: str
    content_type: str
    size_bytes: int
    created_at: datetime


@dataclass(frozen=True)
class Control:
    """A person who holds the wheel of a session, for a while."""

    session_id: str
    organization_id: str
    control_id: str
    holder: str
    is_settled: bool
    taken_at: datetime
    until: datetime


def wheel_topic(replica: str) -> str:
    """The topic on which a replica hears that a wheel of its sessions was taken or given back."""
    return f"browser_session.wheel.{replica}"


def add_usage(tx: Tx, counted: Mapping[str, Usage]) -> None:
    """Adds what was counted to the sums of these sessions."""
    for session_id, usage in counted.items():
        more = {f"more_{name}": getattr(usage, name) for name in _COUNTERS}
        if tx.execute(_ADD_USAGE, {"key": session_id, **more}).rowcount == 0:
            tx.execute(_INSERT_USAGE, {"session_id": session_id, **vars(usage)})


def usage(tx: Tx, session_id: str) -> Usage:
    """What went through for a session so far."""
    row = tx.execute(_USAGE, {"session_id": session_id}).one_or_none()
    return Usage(**{name: getattr(row, name) for name in _COUNTERS}) if row else Usage()


def control(tx: Tx, session_id: str) -> Control | None:
    """Who holds the wheel of a session now."""
    row = tx.execute(_CONTROL, {"session_id": session_id}).one_or_none()
    return Control(**row._mapping) if row and row.until > tx.now else None


def controls(tx: Tx, session_ids: Collection[str]) -> dict[str, Control]:
    """Who holds the wheels of these sessions; also those whose time is over."""
    if not session_ids:
        return {}
    rows = tx.execute(_CONTROLS, {"session_ids": list(session_ids)})
    return {row.session_id: Control(**row._mapping) for row in rows}


def add_control(tx: Tx, new: Control) -> None:
    """Writes down who has taken the wheel, in place of whoever had it before."""
    old = tx.execute(_CONTROL, {"session_id": new.session_id}).one_or_none()
    if old is not None:
        tx.execute(_DELETE_CONTROL, {"session_id": new.session_id, "control_id": old.control_id})
    tx.execute(_INSERT_CONTROL, vars(new))


def renew_control(tx: Tx, session_id: str, control_id: str, span: timedelta) -> bool:
    """Lets the wheel be held for so long from now; False when it is not held any more."""
    held = control(tx, session_id)
    if held is None or held.control_id != control_id:
        return False
    until = tx.now + span
    tx.execute(_RENEW_CONTROL, {"key": session_id, "control": control_id, "new_until": until})
    return True


def settle_control(tx: Tx, session_id: str, control_id: str) -> None:
    """Notes that the agent acts no more."""
    tx.execute(_SETTLE_CONTROL, {"key": session_id, "control": control_id})
    tx.notify(changed(session_id))


def delete_control(tx: Tx, session_id: str, control_id: str) -> bool:
    """The wheel is given back; False when somebody else has it, or nobody."""
    values = {"session_id": session_id, "control_id": control_id}
    gone = tx.execute(_DELETE_CONTROL, values).rowcount == 1
    tx.notify(changed(session_id))
    return gone


def add_upload(tx: Tx, new: Upload) -> None:
    """A file begins to come in."""
    tx.execute(_INSERT_UPLOAD, vars(new))


def upload(tx: Tx, organization_id: str, artifact_id: str) -> Upload:
    """A file that is coming in; raises NotFound."""
    values = {"organization_id": organization_id, "artifact_id": artifact_id}
    row = tx.execute(_UPLOAD, values).one_or_none()
    if row is None:
        raise errors.NotFound("upload", artifact_id)
    return Upload(**row._mapping)


def grow_upload(tx: Tx, artifact_id: str, size_bytes: int) -> None:
    """So much of it has come."""
    tx.execute(_GROW_UPLOAD, {"key": artifact_id, "new_size": size_bytes})


def finish_upload(tx: Tx, kept: Artifact) -> None:
    """All of it is there: it is an artifact from now on."""
    tx.execute(_FORGET_UPLOADS, {"artifact_ids": [kept.artifact_id]})
    tx.execute(_INSERT_ARTIFACT, vars(kept))
    artifacts.tell(tx, kept)


def abandoned(tx: Tx, span: timedelta, most: int) -> list[Upload]:
    """Uploads that began longer ago than that."""
    rows = tx.execute(_ABANDONED, {"before": tx.now - span, "most": most})
    return [Upload(**row._mapping) for row in rows]


def forget_uploads(tx: Tx, artifact_ids: Collection[str]) -> None:
    """These are not coming any more."""
    tx.execute(_FORGET_UPLOADS, {"artifact_ids": list(artifact_ids)})


def expired(tx: Tx, most: int) -> list[Artifact]:
    """Artifacts whose time is over."""
    rows = tx.execute(_EXPIRED, {"now": tx.now, "most": most})
    return [Artifact(**{**row._mapping, "kind": Kind(row.kind)}) for row in rows]


def forget_artifacts(tx: Tx, artifact_ids: Collection[str]) -> None:
    """These are gone."""
    tx.execute(_FORGET_ARTIFACTS, {"artifact_ids": list(artifact_ids)})


def recordings(tx: Tx, session_ids: Collection[str]) -> dict[str, Recording]:
    """What is or was recorded of these sessions."""
    if not session_ids:
        return {}
    rows = tx.execute(_RECORDINGS, {"session_ids": list(session_ids)})
    return {row.session_id: _recording(row) for row in rows}


def left_recordings(tx: Tx) -> list[Recording]:
    """Recordings whose replica has died."""
    return [_recording(row) for row in tx.execute(_LEFT_RECORDINGS)]


def _recording(row: sa.Row[Any]) -> Recording:
    kept = row.artifact_ids
    facts = {
        **row._mapping,
        "kinds": frozenset(map(Kind, row.kinds)),
        "artifact_ids": None if kept is None else tuple(kept),
    }
    return Recording(**facts)


def begin_recording(tx: Tx, organization_id: str, session_id: str, kinds: Collection[Kind]) -> None:
    """It is to be recorded from now on; what was recorded before stays in its artifacts."""
    tx.execute(_FORGET_RECORDING, {"session_id": session_id})
    row = {
        "session_id": session_id,
        "organization_id": organization_id,
        "kinds": sorted(kind.value for kind in kinds),
        "is_wanted": True,
        "has_begun": False,
        "tape": "",
        "writer": "",
        "generation": 0,
        "artifact_ids": None,
    }
    tx.execute(_INSERT_RECORDING, row)


def recording_begun(tx: Tx, session_id: str) -> None:
    """It is being recorded now."""
    tx.execute(_BEGUN_RECORDING, {"key": session_id})
    tx.notify(changed(session_id))


def stop_recording(tx: Tx, session_id: str) -> None:
    """It is not to be recorded any more."""
    tx.execute(_STOP_RECORDING, {"key": session_id})


def lay_tape(tx: Tx, session_id: str, tape: str, writer: str, generation: int) -> None:
    """It is being written there by this replica, or by nobody."""
    where = {"session_id": session_id}
    tx.update(RECORDINGS, where, tape=tape, writer=writer, generation=generation)


def take_tape(tx: Tx, left: Recording, writer: str) -> bool:
    """Makes what a dead replica wrote this one's to finish, unless somebody was faster."""
    theirs = {"session_id": left.session_id, "tape": left.tape, "writer": left.writer}
    return tx.update(RECORDINGS, theirs, writer=writer) > 0


def keep_recording(
    tx: Tx, session_id: str, tape: str, writer: str, artifact_ids: Collection[str]
) -> None:
    """What came of this tape is kept, unless another replica has taken it over."""
    whose = {"key": session_id, "its_tape": tape, "its_writer": writer}
    tx.execute(_KEEP_RECORDING, {**whose, "kept": list(artifact_ids)})
    tx.notify(changed(session_id))
