"""What a database promises, whichever store it is on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import exc
from sqlalchemy.pool import Pool, QueuePool

from libs import errors, metrics
from libs.clock import Clock
from libs.db.crash import CrashPoint
from libs.db.tx import Tx

T = TypeVar("T")
log = logging.getLogger(__name__)
UNAVAILABLE = "DATABASE_UNAVAILABLE"
# Classes of SQLSTATE that say something about the statement: wrong data, a constraint, wrong SQL.
_OF_THE_UNIT = ("0A", "21", "22", "23", "42", "44")


@dataclass
class Counters:
    """What a database has done, for `--stats` and metrics."""

    commits: int = 0
    units: int = 0
    # Units and queries that met no database, since the last that met one.
    outages_in_a_row: int = 0


@dataclass
class Database:
    """Units of work on one service's schema; `open` makes one."""

    clock: Clock
    name: str
    after_commit: Callable[[Tx], None] = lambda _tx: None
    on_outage: Callable[[int], None] = lambda _in_a_row: None
    counters: Counters = field(default_factory=Counters)
    crash: CrashPoint = field(default_factory=CrashPoint)

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Carries a unit out; committed and flushed when this returns.

        Units are carried out in the order in which they are handed in, one at a time among all
        replicas, so that what a unit has read holds until its commit.
        """
        raise NotImplementedError

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Carries a query out on a consistent snapshot; it must not write."""
        raise NotImplementedError

    async def disconnect(self) -> None:
        """Closes every connection that nobody is using; others close when they come back."""
        raise NotImplementedError

    async def connect(self) -> None:
        """Opens a connection anew; raises Unavailable when the store does not answer."""
        raise NotImplementedError

    def note(self, error: BaseException | None) -> BaseException | None:
        """Counts outages in a row and tells whoever recovers from them; on the event loop."""
        if isinstance(error, errors.Unavailable) and error.reason == UNAVAILABLE:
            self.counters.outages_in_a_row += 1
            metrics.DATABASE_OUTAGES.inc()
            self.on_outage(self.counters.outages_in_a_row)
        else:
            self.counters.outages_in_a_row = 0
        return error

    async def close(self) -> None:
        """Finishes what was handed in and closes the connections."""
        raise NotImplementedError


def connections_used(*pools: Pool) -> int:
    """How many connections of the pools somebody uses."""
    return sum(pool.checkedout() for pool in pools if isinstance(pool, QueuePool))


def outage(error: BaseException) -> BaseException:
    """What a unit raised: an error of the store's own becomes an outage, the rest stays its own."""
    if isinstance(error, TimeoutError | exc.TimeoutError):
        # Only the store keeps a unit waiting: a statement took too long, or a lock did.
        return unavailable(error)
    if not isinstance(error, exc.DBAPIError) or _is_of_the_unit(error):
        return error
    return unavailable(error)


def unavailable(error: BaseException) -> errors.Unavailable:
    """The word for a store that does not answer."""
    log.warning("database does not answer: %s", getattr(error, "orig", None) or repr(error))
    return errors.Unavailable("the database does not answer", reason=UNAVAILABLE, retry_after_s=1.0)


def closed() -> errors.Unavailable:
    """The word for a store that this process has closed already."""
    return errors.Unavailable("the process is ending", reason="SHUTTING_DOWN", retry_after_s=1.0)


def _is_of_the_unit(error: exc.DBAPIError) -> bool:
    if error.connection_invalidated:
        return False
    if isinstance(error, exc.IntegrityError | exc.ProgrammingError | exc.DataError):
        return True
    # asyncpg says the rest by codes, and refuses what it cannot encode with a ValueError.
    state = getattr(error.orig, "sqlstate", None) or ""
    cause = getattr(error.orig, "__cause__", None)
    return state.startswith(_OF_THE_UNIT) or isinstance(cause, ValueError | TypeError)
