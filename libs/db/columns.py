"""Column types that mean the same on every store, and the tables that every service has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JSON(sa.types.TypeDecorator[Any]):
    """JSON as text, the same on every store."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Any) -> str | None:
        """As it is stored."""
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: Any, _dialect: Any) -> Any:
        """As it was given."""
        return None if value is None else orjson.loads(value)


class Timestamp(sa.types.TypeDecorator[datetime]):
    """A moment as whole microseconds since 1970 in UTC: exact, sortable, the same everywhere."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Any) -> int | None:
        """As it is stored."""
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, _dialect: Any) -> datetime | None:
        """As it was given."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


# Tables that every service has: outbox, inbox, history. Their modules add themselves.
SHARED = sa.MetaData()
inbox = sa.Table(
    "inbox",
    SHARED,
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("received_at", Timestamp, nullable=False, index=True),
)
