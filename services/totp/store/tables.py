"""What totp keeps. Columns that end in `_sealed` hold secrets, bound to their row and column."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from libs import db
from libs.lease import lease_columns
from libs.resealing import SealedColumn

METADATA = sa.MetaData()

credentials = sa.Table(
    "credentials",
    METADATA,
    sa.Column("credential_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("username", sa.String(256), nullable=False),
    sa.Column("identifier", sa.String(256), nullable=False),
    sa.Column("password_sealed", sa.LargeBinary),
    sa.Column("seed_sealed", sa.LargeBinary),
    sa.Column("created_at", db.Timestamp, nullable=False),
    sa.Column("rotated_at", db.Timestamp, nullable=False),
    sa.Column("folder", sa.String(128), nullable=False),
    # Counts the changes of its secrets.
    sa.Column("version", sa.Integer, nullable=False),
    sa.UniqueConstraint("organization_id", "name"),
)

challenges = sa.Table(
    "challenges",
    METADATA,
    sa.Column("challenge_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    # Null when the caller gave none, so that the constraint leaves those alone.
    sa.Column("request_id", sa.String(128)),
    sa.Column("credential_id", sa.String(64), nullable=False),
    sa.Column("identifier", sa.String(256), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("task_id", sa.String(64), nullable=False),
    sa.Column("not_before", db.Timestamp, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
    # The timer: a sweep closes what is still open then.
    sa.Column("expires_at", db.Timestamp, nullable=False),
    sa.Column("generated", sa.Boolean, nullable=False),
    sa.Column("message_id", sa.String(64), nullable=False),
    sa.Column("step", sa.BigInteger),
    sa.Column("valid_until", db.Timestamp),
    sa.Column("link_hosts", db.JSON, nullable=False),
    sa.Column("rejected", sa.Integer, nullable=False),
    sa.Column("patience_s", sa.Float, nullable=False),
    sa.UniqueConstraint("organization_id", "request_id"),
    sa.Index("challenges_waiting", "organization_id", "identifier", "state", "created_at"),
    sa.Index("challenges_due", "state", "expires_at"),
    sa.Index("challenges_of_run", "organization_id", "run_id", "state"),
)

messages = sa.Table(
    "messages",
    METADATA,
    sa.Column("message_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("identifier", sa.String(256), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("challenge_id", sa.String(64), nullable=False),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("sure", sa.Boolean, nullable=False),
    sa.Column("candidates", sa.Integer, nullable=False),
    sa.Column("code_sealed", sa.LargeBinary),
    # The sign-in link, when there is one and no code.
    sa.Column("link_sealed", sa.LargeBinary),
    sa.Column("link_host", sa.String(256), nullable=False),
    # Redacted, for a person to look at when no code could be told for certain.
    sa.Column("content_sealed", sa.LargeBinary),
    # Digest of the Message-ID: one e-mail may come in by two ways. Null when it has none.
    sa.Column("external_id", sa.String(64)),
    # One message serves one challenge; null until then.
    sa.Column("claimed_by", sa.String(64), unique=True),
    sa.Column("received_at", db.Timestamp, nullable=False),
    sa.Column("expires_at", db.Timestamp, nullable=False, index=True),
    sa.UniqueConstraint("organization_id", "external_id"),
    sa.Index("messages_free", "organization_id", "identifier", "claimed_by", "received_at"),
)

# A site accepts each step's code once: whoever writes the row has the code.
steps = sa.Table(
    "steps",
    METADATA,
    sa.Column("credential_id", sa.String(64), primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("challenge_id", sa.String(64), nullable=False),
    sa.Column("taken_at", db.Timestamp, nullable=False, index=True),
)


# Places where codes are fetched from; whoever holds the lease watches it.
sources = sa.Table(
    "sources",
    METADATA,
    sa.Column("source_id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("identifier", sa.String(256), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    # Everything but the secret: host, port, security, user name and folder, or the URL.
    sa.Column("target", db.JSON, nullable=False),
    sa.Column("secret_sealed", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("failure", sa.String(256), nullable=False),
    # The mailbox as far as it was read: UIDVALIDITY and the last UID.
    sa.Column("place", db.JSON),
    sa.Column("received_at", db.Timestamp),
    sa.Column("created_at", db.Timestamp, nullable=False),
    sa.UniqueConstraint("organization_id", "name"),
    *lease_columns(),
)


def _sealed(column: sa.Column[Any]) -> SealedColumn:
    table = column.table
    assert isinstance(table, sa.Table)
    (key,) = table.primary_key.columns

    def place(row: Any) -> bytes:
        return associated(row.organization_id, table, getattr(row, key.name), column.name)

    return SealedColumn(column, place)


def associated(organization_id: str, table: sa.Table, row_id: str, field: str) -> bytes:
    """What ties a sealed value to its place, so that swapped values do not open."""
    return f"{organization_id}|{table.name}|{row_id}|{field}".encode()


# What a rotation of keys seals anew.
SEALED = [
    _sealed(column)
    for table in (credentials, messages, sources)
    for column in table.columns
    if column.name.endswith("_sealed")
]
