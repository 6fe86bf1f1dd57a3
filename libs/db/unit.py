"""One caller's unit of work on its way through a group commit."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection

from libs import telemetry
from libs.clock import Clock
from libs.db.database import Database
from libs.db.tx import Tx


@dataclass(eq=False)
class Unit:
    """A caller's function and where its outcome goes."""

    function: Callable[[Tx], Any]
    loop: asyncio.AbstractEventLoop
    outcome: asyncio.Future[Any]
    # The writer is another thread or task: what the unit publishes belongs to its caller's context.
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    tx: Tx | None = None
    result: Any = None
    commit: int = 0
    error: BaseException | None = None

    @classmethod
    def of(cls, function: Callable[[Tx], Any]) -> Unit:
        """A unit of the running task."""
        loop = asyncio.get_running_loop()
        return cls(function, loop, loop.create_future())

    def run(self, connection: Connection, clock: Clock) -> None:
        """Carries the function out and keeps what it answers."""
        self.tx = Tx(connection, clock)
        self.result = self.context.run(self.tx.carry_out, self.function)

    def acknowledge(self, database: Database) -> None:
        """Tells the caller how it went, and whoever follows commits; on the caller's loop."""
        database.note(self.error)
        try:
            if self.error is None and self.tx is not None:
                database.after_commit(self.tx)
                self.context.run(telemetry.count_commit, database.name, self.commit)
        finally:
            self._resolve()

    def _resolve(self) -> None:
        if self.outcome.done():
            return
        if self.error is not None:
            self.outcome.set_exception(self.error)
        else:
            self.outcome.set_result(self.result)
