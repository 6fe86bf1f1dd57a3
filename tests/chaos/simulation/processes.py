"""Processes that are no processes: each await of theirs is a point where they may die or stop.

A dead process is not told that it is dead: its tasks never go on from the await at which it died,
and nothing that they would still write reaches the store. A stopped one goes on seconds later and
finds its leases gone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa

from libs import errors
from libs.db import SHARED, Database, Tx

T = TypeVar("T")
LONGEST_DELAY_S = 0.02
STOPPED_S = 3.0


@dataclass
class Dice:
    """What a seed decides."""

    random: random.Random
    crash: float  # the chance of a crash at each await
    stop: float  # and of a stop that is longer than a lease
    faults_left: int
    over: bool = False  # the seed has been lived: nothing goes on
    never: list[asyncio.Future[None]] = field(default_factory=list)


@dataclass(eq=False)
class Process:
    """One replica over one life."""

    name: str
    dice: Dice
    on_death: Callable[[Process], None]
    dead: bool = False
    stopped_until: float = 0.0
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    async def gate(self) -> None:
        """Something takes a moment; the process may not live to see the end of it."""
        loop, dice = asyncio.get_running_loop(), self.dice
        if dice.over:
            raise asyncio.CancelledError
        await _moment(loop, dice.random.random() * LONGEST_DELAY_S)
        if not self.dead and dice.faults_left > 0:
            drawn = dice.random.random()
            if drawn < dice.crash:
                self._die()
            elif drawn < dice.crash + dice.stop:
                dice.faults_left -= 1
                self.stopped_until = loop.time() + STOPPED_S
        while not self.dead and self.stopped_until > loop.time():
            await asyncio.sleep(self.stopped_until - loop.time())
        if self.dead:
            # Kept, or the garbage collector would end what only this future still refers to.
            self.dice.never.append(loop.create_future())
            await self.dice.never[-1]

    def spawn(self, work: Coroutine[Any, Any, Any], _name: str = "") -> asyncio.Task[Any]:
        """A task that ends with the process."""
        task = asyncio.ensure_future(work)
        self.tasks.append(task)
        return task

    def _die(self) -> None:
        self.dice.faults_left -= 1
        self.dead = True
        self.on_death(self)


class Store:
    """One service's tables in memory; survives every process.

    One store serves all seeds, one after the other: what SQLAlchemy has learned about statements
    belongs to its engine, and learning it again would take most of a seed's time.
    """

    _of: ClassVar[dict[sa.MetaData, Store]] = {}

    @classmethod
    def empty(cls, tables: sa.MetaData) -> Store:
        """The store of these tables, without a row."""
        if tables not in cls._of:
            cls._of[tables] = cls(tables)
        store = cls._of[tables]
        store._driver.deserialize(store._nothing)
        return store

    def __init__(self, tables: sa.MetaData) -> None:
        self._engine = sa.create_engine(
            "sqlite://",
            poolclass=sa.pool.StaticPool,
            connect_args={"check_same_thread": False, "isolation_level": None},
        )
        self.connection = self._engine.connect()
        SHARED.create_all(self.connection)
        tables.create_all(self.connection)
        self.connection.commit()
        self._driver: Any = self.connection.connection.driver_connection
        self._nothing = self._driver.serialize()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """All or nothing. Said to the driver: SQLAlchemy's own way costs as much as a statement."""
        self._driver.execute("BEGIN")
        try:
            yield self.connection
        except BaseException:
            self._driver.execute("ROLLBACK")
            raise
        self._driver.execute("COMMIT")


@dataclass
class SimulatedDatabase(Database):
    """A process's view of its service's store; a crash may come before or after each commit."""

    store: Store = field(kw_only=True)
    process: Process = field(kw_only=True)

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """A unit and its commit, in one piece."""
        return await asyncio.shield(self.process.spawn(self._write(unit)))

    async def _write(self, unit: Callable[[Tx], T]) -> T:
        await self.process.gate()
        with self.store.transaction() as connection:
            tx = Tx(connection, self.clock)
            result = tx.carry_out(unit)
        await self.process.gate()
        self.after_commit(tx)
        return result

    async def read(self, query: Callable[[Tx], T]) -> T:
        """A query."""
        await self.process.gate()
        return query(Tx(self.store.connection, self.clock))


class Calls:
    """A stub: each call goes to a living replica, and fails when that dies before it answers."""

    def __init__(self, caller: Process, replicas: Callable[[], list[tuple[Process, Any]]]) -> None:
        self._caller, self._replicas = caller, replicas

    def __getattr__(self, name: str) -> Any:
        async def call(request: Any, **_: Any) -> Any:
            await self._caller.gate()
            living = [(p, s) for p, s in self._replicas() if not p.dead]
            if not living:
                raise errors.Unavailable("nobody is there")
            process, servicer = self._caller.dice.random.choice(living)
            working = process.spawn(_served(process, getattr(servicer, name), request))
            while not working.done():
                if process.dead:
                    raise errors.Unavailable("the connection broke")
                await asyncio.wait({working}, timeout=0.5)
            await self._caller.gate()
            return working.result()

        return call


def _moment(loop: asyncio.AbstractEventLoop, seconds: float) -> asyncio.Future[None]:
    """What `asyncio.sleep` does, for half of its price: half of all that happens is this."""
    passed = loop.create_future()
    loop.call_later(seconds, _let_pass, passed)
    return passed


def _let_pass(passed: asyncio.Future[None]) -> None:
    if not passed.done():
        passed.set_result(None)


async def _served(process: Process, method: Any, request: Any) -> Any:
    answer = await method(request, None)
    await process.gate()
    return answer
