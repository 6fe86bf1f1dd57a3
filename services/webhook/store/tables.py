"""The tables of webhook."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from libs import db
from libs.lease import lease_columns

# Woken when a delivery is due or an endpoint may be sent to again.
DUE = "webhook.due"
# Woken when events of any organisation were announced.
ANNOUNCED = "webhook.announced"
METADATA = sa.MetaData()

endpoints = sa.Table(
    "endpoints",
    METADATA,
    sa.Column("endpoint_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("event_types", db.JSON, nullable=False),
    sa.Column("filter", sa.Text, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("workflow_id", sa.String(64), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("sign_v1a", sa.Boolean, nullable=False),
    sa.Column("rate_limit_per_s", sa.Float, nullable=False),
    sa.Column("max_in_flight", sa.Integer, nullable=False),
    sa.Column("ordered", sa.Boolean, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("disabled_reason", sa.String(32), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    # Credentials, sealed with the vault; empty once the endpoint is removed.
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    # What of the credentials is no secret.
    sa.Column("public_keys", db.JSON, nullable=False),
    sa.Column("header_names", db.JSON, nullable=False),
    sa.Column("certificate", db.JSON),
    sa.Column("created_at", db.Timestamp, nullable=False),
    # The row of a removed endpoint stays, so that removing it again is no error.
    sa.Column("deleted_at", db.Timestamp),
    # Its health (`services.webhook.health`) and its rate; they are no part of the version.
    sa.Column("failing_since", db.Timestamp),
    sa.Column("failures", sa.Integer, nullable=False, default=0),
    sa.Column("trips", sa.Integer, nullable=False, default=0),
    sa.Column("paused_until", db.Timestamp),
    sa.Column("pause_reason", sa.String(16), nullable=False, default=""),
    sa.Column("bucket_tokens", sa.Float, nullable=False, default=0.0),
    sa.Column("bucket_at", db.Timestamp),
    sa.Index("endpoints_of_organization", "organization_id", "endpoint_id"),
)

# Every event that an endpoint could ask for, once; deliveries name it.
events = sa.Table(
    "events",
    METADATA,
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    # Its place in the organisation's row of events; 0 for a test event, which is in none.
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("event_type", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("workflow_id", sa.String(64), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("announced_at", db.Timestamp, nullable=False),
    sa.Index("events_in_order", "organization_id", "position"),
    sa.Index("events_of_run", "organization_id", "run_id"),
)

# The last position given out in each organisation.
feeds = sa.Table(
    "feeds",
    METADATA,
    sa.Column("organization_id", sa.String(64), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
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
    sa.Index("deliveries_of_organization", "organization_id", "delivery_id"),
    sa.Index("deliveries_of_run", "organization_id", "run_id"),
)
# Spelled out, for a store to see that its partial index serves.
WAITING = deliveries.c.state == sa.literal_column("'pending'")
_leased = deliveries.c.lease_until.is_not(None)
# Only what waits is in it: finding the next of a lane costs the same beside millions of old rows.
sa.Index(
    "deliveries_waiting",
    deliveries.c.endpoint_id,
    deliveries.c.due_at,
    deliveries.c.delivery_id,
    sqlite_where=WAITING,
    postgresql_where=WAITING,
)
sa.Index(
    "deliveries_leased", deliveries.c.lease_until, sqlite_where=_leased, postgresql_where=_leased
)

attempts = sa.Table(
    "attempts",
    METADATA,
    sa.Column("delivery_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("started_at", db.Timestamp, nullable=False),
    sa.Column("duration_ms", sa.BigInteger, nullable=False),
    sa.Column("first_byte_ms", sa.BigInteger, nullable=False),
    sa.Column("http_status", sa.Integer, nullable=False),
    sa.Column("error_class", sa.String(32), nullable=False),
    sa.Column("error_message", sa.Text, nullable=False),
    sa.Column("response_excerpt", sa.Text, nullable=False),
)


def padded(keys: Sequence[str]) -> list[str]:
    """The keys of an IN, the last one repeated up to a power of two.

    Each length of a list is a statement of its own to the store; so there are only a few.
    """
    wanted = list(keys)
    size = 1 << max(len(wanted) - 1, 0).bit_length()
    return wanted + wanted[-1:] * (size - len(wanted))
