"""The tables of the run service."""

from __future__ import annotations

import sqlalchemy as sa

from libs import db, lease

METADATA = sa.MetaData()
runs = sa.Table(
    "runs",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("title", sa.String(256), nullable=False),
    sa.Column("workflow_id", sa.String(64), nullable=False),
    sa.Column("workflow_version", sa.Integer, nullable=False),
    sa.Column("workflow_run_id", sa.String(64), nullable=False),
    sa.Column("needs_browser", sa.Boolean, nullable=False),
    sa.Column("requested_session_id", sa.String(64), nullable=False),
    sa.Column("browser_session_id", sa.String(64), nullable=False),
    sa.Column("session", db.JSON),
    sa.Column("parameters", db.JSON, nullable=False),
    sa.Column("labels", db.JSON, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
    sa.Column("expires_at", db.Timestamp, nullable=False),
    sa.Column("started_at", db.Timestamp),
    sa.Column("ended_at", db.Timestamp),
    sa.Column("output", db.JSON),
    sa.Column("failure", db.JSON),
    sa.Column("detail", sa.Text, nullable=False, default=""),
    sa.Column("cancel_reason", sa.Text),
    sa.Column("workflow_result", db.JSON),
    sa.Column("pause_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("ending", db.JSON),
    # The saga's steps in their order: always read and written with the run.
    sa.Column("steps", db.JSON, nullable=False),
    sa.Column("request_id", sa.String(128), nullable=False),
    sa.Column("traceparent", sa.String(64), nullable=False),
    sa.Column("idempotency_key", sa.String(128)),
    sa.Column("request_hash", sa.String(64), nullable=False),
    *lease.lease_columns(),
    sa.UniqueConstraint("organization_id", "idempotency_key", name="one_run_per_key"),
    sa.Index("runs_by_organization", "organization_id", "run_id"),
    sa.Index("runs_by_state", "state"),
)
# No fact about a run, so no part of its history: what only the saga may see, until the run ends.
session_secrets = sa.Table(
    "session_secrets",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("wish_sealed", sa.LargeBinary, nullable=False),
)
alerts = sa.Table(
    "alerts",
    METADATA,
    sa.Column("alert_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("context", db.JSON, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
    sa.Index("alerts_by_organization", "organization_id", "alert_id"),
)
