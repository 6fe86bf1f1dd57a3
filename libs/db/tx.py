"""A unit of work's view of the database: a connection, and what belongs to the same commit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, CursorResult, Row

from libs.clock import Clock
from libs.db import statements
from libs.db.columns import inbox

T = TypeVar("T")
_NOW = sa.select(sa.func.clock_timestamp())


class Tx:
    """A connection, and what belongs to the same commit."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._now: datetime | None = None
        self.topics: set[str] = set()
        self.outgoing: list[Any] = []
        # What this unit has read or written and would otherwise read again.
        self.known: dict[Any, Any] = {}
        self._last: list[Callable[[Tx], None]] = []

    @property
    def now(self) -> datetime:
        """The database's clock: the machine's for a file, the server's for a server."""
        if self._now is None:
            if self._connection.dialect.name == "sqlite":
                self._now = self._clock.now()
            else:
                self._now = self._connection.execute(_NOW).scalar()
        assert self._now is not None
        return self._now

    def execute(self, statement: sa.Executable, parameters: Any = None) -> CursorResult[Any]:
        """Runs a SQLAlchemy Core statement."""
        return self._connection.execute(statement, parameters)  # type: ignore[return-value]

    def insert(self, table: sa.Table, *rows: dict[str, Any]) -> None:
        """Inserts rows that name the same columns."""
        self.execute(statements.inserting(table), rows[0] if len(rows) == 1 else list(rows))

    def insert_new(self, table: sa.Table, **row: Any) -> bool:
        """Inserts a row unless its key or a unique column is taken; answers whether it did."""
        dialect = self._connection.dialect.name
        return self.execute(statements.inserting_new(table, dialect), row).rowcount > 0

    def update(self, table: sa.Table, where: Mapping[str, Any], **values: Any) -> int:
        """Sets columns of the rows whose columns equal what `where` says, or are in its list.

        Answers how many rows there were.
        """
        statement = statements.updating(table, *statements.split(where), tuple(values))
        return self.execute(statement, statements.conditions(where) | values).rowcount

    def select(self, table: sa.Table, order_by: str = "", /, **where: Any) -> CursorResult[Any]:
        """Whole rows whose columns equal what `where` says, or are in its list."""
        statement = statements.selecting(table, *statements.split(where), order_by)
        return self.execute(statement, statements.conditions(where))

    def first(self, table: sa.Table, **where: Any) -> Row[Any] | None:
        """The row whose columns equal what `where` says, or are in its list; None without one."""
        return self.select(table, **where).first()

    def at_end(self, write: Callable[[Tx], None]) -> None:
        """Puts a write off to the end of the unit, so that several changes cost one statement."""
        self._last.append(write)

    def carry_out(self, unit: Callable[[Tx], T]) -> T:
        """Carries a unit out with all that it puts off."""
        result = unit(self)
        for write in self._last:
            write(self)
        return result

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

    def seen(self, event_ids: Collection[str]) -> set[str]:
        """Those of some events that have been handled here."""
        return {row.event_id for row in self.select(inbox, event_id=event_ids)}

    def see(self, event_ids: Iterable[str]) -> None:
        """Notes that events which were not seen before are handled by this unit."""
        rows = [{"event_id": event_id, "received_at": self.now} for event_id in event_ids]
        if rows:
            self.insert(inbox, *rows)

    def first_time(self, event_id: str) -> bool:
        """True the first time an event is seen; a repeat is to be ignored."""
        return self.insert_new(inbox, event_id=event_id, received_at=self.now)
