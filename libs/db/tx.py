"""A unit of work's view of the database: a connection, and what belongs to the same commit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, CursorResult

from libs.clock import Clock
from libs.db.columns import inbox


class Tx:
    """A connection, and what belongs to the same commit."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._now: datetime | None = None
        self.topics: set[str] = set()
        self.outgoing: list[Any] = []

    @property
    def now(self) -> datetime:
        """The database's clock: the machine's for a file, the server's for a server."""
        if self._now is None:
            if self._connection.dialect.name == "sqlite":
                self._now = self._clock.now()
            else:
                self._now = self._connection.execute(sa.select(sa.func.clock_timestamp())).scalar()
        assert self._now is not None
        return self._now

    def execute(self, statement: sa.Executable, parameters: Any = None) -> CursorResult[Any]:
        """Runs a SQLAlchemy Core statement."""
        return self._connection.execute(statement, parameters)  # type: ignore[return-value]

    def notify(self, topic: str) -> None:
        """Wakes the waiters of a signal once this is committed."""
        self.topics.add(topic)

    def publish(
        self,
        type_: str,
        data: dict[str, Any],
        *,
        run_id: str | None = None,
        workflow_run_id: str | None = None,
        task_id: str | None = None,
        organization_id: str | None = None,
    ) -> str:
        """Writes an event into the outbox; it reaches the bus once this is committed.

        Ids default to those of the current context. Answers the event's id.
        """
        from libs import outbox

        return outbox.add(
            self,
            type_,
            data,
            run_id=run_id,
            workflow_run_id=workflow_run_id,
            task_id=task_id,
            organization_id=organization_id,
        )

    def insert_new(self, table: sa.Table, **values: Any) -> bool:
        """Inserts a row unless its key or a unique column is taken; answers whether it did."""
        kind = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        statement = kind.insert(table).values(**values).on_conflict_do_nothing()
        return self.execute(statement).rowcount > 0

    def first_time(self, event_id: str) -> bool:
        """True the first time an event is seen; a repeat is to be ignored."""
        return self.insert_new(inbox, event_id=event_id, received_at=self.now)
