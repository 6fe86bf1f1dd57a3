"""The tables of the workflow service."""

from __future__ import annotations

import sqlalchemy as sa

from libs import lease
from libs.db import JSON, Timestamp

METADATA = sa.MetaData()

workflows = sa.Table(
    "workflows",
    METADATA,
    sa.Column("workflow_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(128), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    # The name while the workflow is in use, else something no name can be: names become free again.
    sa.Column("name_key", sa.String(200), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("deleted_at", Timestamp),
    sa.UniqueConstraint("organization_id", "name_key"),
)
versions = sa.Table(
    "workflow_versions",
    METADATA,
    sa.Column("workflow_id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("organization_id", sa.String(128), nullable=False),
    sa.Column("document", JSON, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("created_at", Timestamp, nullable=False),
)
workflow_runs = sa.Table(
    "workflow_runs",
    METADATA,
    sa.Column("workflow_run_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(128), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("workflow_id", sa.String(64), nullable=False, default=""),
    sa.Column("version", sa.Integer, nullable=False, default=0),
    sa.Column("document", JSON),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("needs_browser", sa.Boolean, nullable=False),
    sa.Column("parameters", JSON, nullable=False),
    sa.Column("browser_session_id", sa.String(64), nullable=False, default=""),
    sa.Column("request_id", sa.String(128), nullable=False, default=""),
    sa.Column("traceparent", sa.String(64), nullable=False, default=""),
    sa.Column("cancel_reason", sa.Text),
    sa.Column("output", JSON),
    sa.Column("failure", JSON),
    sa.Column("pause_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("paused_at", Timestamp),
    # What the newest pause or resume that was heeded had seen of the run's history.
    sa.Column("steered_as_of", sa.BigInteger, nullable=False, default=0),
    # The timer of a run that rests: nobody takes it up before this moment.
    sa.Column("wake_at", Timestamp),
    sa.Column("created_at", Timestamp, nullable=False),
    sa.Column("started_at", Timestamp),
    sa.Column("ended_at", Timestamp),
    *lease.lease_columns(),
    sa.UniqueConstraint("organization_id", "run_id"),
    sa.Index("workflow_runs_due", "state", "lease_until"),
)
block_runs = sa.Table(
    "block_runs",
    METADATA,
    sa.Column("workflow_run_id", sa.String(64), primary_key=True),
    sa.Column("block_path", sa.String(600), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("organization_id", sa.String(128), nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("label", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("plan", JSON),
    sa.Column("output", JSON),
    sa.Column("summary", sa.Text, nullable=False, default=""),
    sa.Column("failure", JSON),
    sa.Column("will_retry", sa.Boolean, nullable=False, default=False),
    sa.Column("task_id", sa.String(64), nullable=False, default=""),
    sa.Column("artifacts", JSON, nullable=False),
    sa.Column("paused_ms", sa.BigInteger, nullable=False, default=0),
    sa.Column("started_at", Timestamp, nullable=False),
    sa.Column("ended_at", Timestamp),
)
RUN_KEY = "workflow_run_id"
