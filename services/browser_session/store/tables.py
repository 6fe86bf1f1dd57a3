"""The tables of browser_session, and the topics on which their changes are told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    or_,
)

from libs.db import JSON, Timestamp

METADATA = MetaData()

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("session_id", String(64), primary_key=True),
    Column("organization_id", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("options", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("made_for_run", Boolean, nullable=False),
    Column("fence", Integer, nullable=False),
    # Which browser it is: grows whenever the session gets another one. The fence grows then, too.
    Column("generation", Integer, nullable=False),
    Column("owner", String(128), nullable=False),
    Column("has_process", Boolean, nullable=False),
    Column("cdp_url", String(256), nullable=False),
    Column("cdp_key", LargeBinary, nullable=False),
    # What of the options is never shown: the proxy's password, the values of headers.
    Column("sealed_options", LargeBinary, nullable=False),
    Column("close_reason", String(32), nullable=False),
    Column("artifact_count", Integer, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("ready_at", Timestamp),
    Column("ended_at", Timestamp),
    Column("active_at", Timestamp),
    Column("queue_until", Timestamp),
    # What later runs find it by; empty for a session of its own.
    Column("reuse_key", String(200), nullable=False),
    Column("jobs", Integer, nullable=False),
    Index("sessions_by_organization", "organization_id", "created_at"),
    Index("sessions_by_owner", "owner", "has_process"),
    Index("sessions_by_run", "organization_id", "run_id"),
    Index("sessions_by_reuse_key", "organization_id", "reuse_key"),
    Index("sessions_by_request", "organization_id", "request_id"),
)

ARTIFACTS = Table(
    "artifacts",
    METADATA,
    Column("artifact_id", String(64), primary_key=True),
    Column("organization_id", String(64), nullable=False),
    Column("session_id", String(64), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("content_type", String(100), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("position", Integer, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    # When it is removed; empty: not by itself.
    Column("expires_at", Timestamp),
    # What was uploaded belongs to no session and has no position.
    Index("artifacts_by_session", "session_id", "position"),
    Index("artifacts_by_end", "expires_at"),
    Index("artifacts_by_organization", "organization_id", "created_at"),
    Index("artifacts_by_run", "organization_id", "run_id"),
)

PROFILES = Table(
    "profiles",
    METADATA,
    Column("session_id", String(64), primary_key=True),
    Column("organization_id", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("saved_at", Timestamp, nullable=False),
)

REPLICAS = Table(
    "replicas",
    METADATA,
    Column("replica", String(128), primary_key=True),
    Column("seen_at", Timestamp, nullable=False),
)

GATE = Table(
    "gate",
    METADATA,
    Column("gate_id", Integer, primary_key=True),
    Column("passes", Integer, nullable=False),
)


def changed(session_id: str) -> str:
    """The topic on which waiters hear that a session or its artifacts changed."""
    return f"browser_session.session.{session_id}"


def orders(replica: str) -> str:
    """The topic on which a replica hears that something was decided about one of its sessions."""
    return f"browser_session.orders.{replica}"


ROOM = "browser_session.room"
"""The topic on which waiters for a place hear that one may be free."""


def older(query: Any, at: Any, key: Any, before: tuple[datetime, str] | None) -> Any:
    """The query for the rows older than `before`, newest first."""
    if before:
        query = query.where(or_(at < before[0], and_(at == before[0], key < before[1])))
    return query.order_by(at.desc(), key.desc())
