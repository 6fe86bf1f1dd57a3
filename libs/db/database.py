"""What a database promises, whichever store it is on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import sqlalchemy as sa

from libs import errors
from libs.clock import Clock
from libs.db.crash import CrashPoint
from libs.db.tx import Tx

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass
class Counters:
    """What a database has done, for `--stats` and metrics."""

    commits: int = 0
    units: int = 0


@dataclass
class Database:
    """Units of work on one service's schema; `open` makes one."""

    clock: Clock
    name: str
    after_commit: Callable[[Tx], None] = lambda _tx: None
    counters: Counters = field(default_factory=Counters)
    crash: CrashPoint = field(default_factory=CrashPoint)

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Carries a unit out; committed and flushed when this returns."""
        raise NotImplementedError

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Carries a query out on a consistent snapshot; it must not write."""
        raise NotImplementedError

    async def close(self) -> None:
        """Finishes what was handed in and closes the connections."""
        raise NotImplementedError


def outage(error: BaseException) -> BaseException:
    """An error of the store's own is an outage; a constraint or a word is the unit's business."""
    if isinstance(error, sa.exc.IntegrityError) or not isinstance(error, sa.exc.DBAPIError):
        return error
    if isinstance(error, sa.exc.ProgrammingError):
        return error
    log.warning("database does not answer: %s", error.orig)
    return errors.Unavailable(
        "the database does not answer", reason="DATABASE_UNAVAILABLE", retry_after_s=1.0
    )
