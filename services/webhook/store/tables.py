"""The tables of webhook."""

from __future__ import annotations

import sqlalchemy as sa

from libs import db
from libs.lease import lease_columns

# Woken when a delivery is due or an endpoint may be sent to again.
DUE = "webhook.due"
METADATA = sa.MetaData()

endpoints = sa.Table(
    "endpoints",
    METADATA,
    sa.Column("endpoint_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("event_types", db.JSON, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("disabled_reason", sa.String(32), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    # Sealed with the vault; empty once the endpoint is removed.
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
    # The row of a removed endpoint stays, so that removing it again is no error.
    sa.Column("deleted_at", db.Timestamp),
    sa.Index("endpoints_of_organization", "organization_id", "endpoint_id"),
)

deliveries = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("delivery_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("endpoint_id", sa.String(64), nullable=False),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("event_type", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    # A replay begins a new round of tries; an attempt of an earlier round decides nothing.
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("attempt_count", sa.Integer, nullable=False),
    sa.Column("due_at", db.Timestamp, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
    sa.Column("ended_at", db.Timestamp),
    *lease_columns(),
    sa.UniqueConstraint("endpoint_id", "event_id"),
    sa.Index("deliveries_due", "state", "due_at"),
    sa.Index("deliveries_leased", "lease_until"),
    sa.Index("deliveries_of_organization", "organization_id", "delivery_id"),
    sa.Index("deliveries_of_run", "organization_id", "run_id"),
)

attempts = sa.Table(
    "attempts",
    METADATA,
    sa.Column("delivery_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("started_at", db.Timestamp, nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("http_status", sa.Integer, nullable=False),
    sa.Column("error_class", sa.String(32), nullable=False),
    sa.Column("error_message", sa.Text, nullable=False),
    sa.Column("response_excerpt", sa.Text, nullable=False),
)
