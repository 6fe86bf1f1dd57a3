"""The services' databases and the bus, read from outside: leases while it runs, what is left after.

Nothing here writes, and every look is a connection of its own, so that a look cannot disturb what
it looks at.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.layout import Layout

# Leased tables: service, table, key, and the states in which a row is over.
LEASED = (
    ("run", "runs", "run_id"),
    ("workflow", "workflow_runs", "workflow_run_id"),
    ("task", "tasks", "task_id"),
    ("webhook", "deliveries", "delivery_id"),
)
FOLLOWED = LEASED[:2]
OUTBOXES = ("run", "workflow", "task", "totp", "browser_session", "webhook")
STORE_DOWN = (sqlite3.Error, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
LOOK_EVERY_S = 0.05


class Books:
    """Queries on the databases of one mesh."""

    def __init__(self, home: Path, database_url: str, redis_url: str) -> None:
        self._home, self._database_url, self._redis_url = home, database_url, redis_url

    async def rows(self, service: str, query: str) -> list[Mapping[str, Any]]:
        """What a query answers; raises one of STORE_DOWN when the store does not answer."""
        if self._database_url:
            return await self._postgres(service, query)
        return await asyncio.to_thread(self._sqlite, service, query)

    def _sqlite(self, service: str, query: str) -> list[Mapping[str, Any]]:
        path = Layout(self._home).data / f"{service}.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as opened:
            opened.row_factory = sqlite3.Row
            return [dict(row) for row in opened.execute(query)]

    async def _postgres(self, service: str, query: str) -> list[Mapping[str, Any]]:
        url = self._database_url.replace("+asyncpg", "")
        connection = await asyncpg.connect(url, timeout=2, server_settings={"search_path": service})
        try:
            return [dict(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def leases(self) -> dict[tuple[str, str], tuple[str, int]]:
        """Owner and fence of every run and workflow run that somebody holds or held."""
        found: dict[tuple[str, str], tuple[str, int]] = {}
        for service, table, key in FOLLOWED:
            query = f"SELECT {key} AS key, lease_owner, lease_fence FROM {table}"
            for row in await self.rows(service, query):
                found[service, row["key"]] = (row["lease_owner"], row["lease_fence"])
        return found

    async def history(self) -> dict[str, list[Mapping[str, Any]]]:
        """The history of every run as it is stored."""
        stored: dict[str, list[Mapping[str, Any]]] = {}
        for row in await self.rows("run", "SELECT * FROM history ORDER BY stream_id, sequence"):
            stored.setdefault(row["stream_id"], []).append(row)
        return stored

    async def left_after(self, patience_s: float, services: Sequence[str] = OUTBOXES) -> list[str]:
        """What is left once nothing is, or when patience is over."""
        end = time.monotonic() + patience_s
        while True:
            try:
                left = await self.left(services)
            except (*STORE_DOWN, RedisError, TimeoutError) as error:
                left = [f"a store does not answer: {error}"]
            if not left or time.monotonic() > end:
                return left
            await asyncio.sleep(0.2)

    async def left(self, services: Sequence[str] = OUTBOXES) -> list[str]:
        """Everything that should not be there when nothing runs."""
        found: list[str] = []
        for service, table, key in LEASED:
            if service not in services:
                continue
            query = f"SELECT {key} AS key, lease_owner FROM {table} WHERE lease_owner <> ''"
            found += [
                f"{service}: {row['key']} is still leased by {row['lease_owner']}"
                for row in await self.rows(service, query)
            ]
        for service in services:
            query = "SELECT event_id FROM outbox WHERE published_at IS NULL"
            if unpublished := await self.rows(service, query):
                found.append(f"{service}: {len(unpublished)} events are still in the outbox")
        if "browser_session" in services:
            found += await self._open_sessions()
        return found + await self._left_on_the_bus()

    async def _open_sessions(self) -> list[str]:
        query = "SELECT session_id, state FROM sessions WHERE state NOT IN ('closed', 'crashed')"
        return [
            f"session {row['session_id']} is still {row['state']}"
            for row in await self.rows("browser_session", query)
        ]

    async def _left_on_the_bus(self) -> list[str]:
        found: list[str] = []
        async with _redis(self._redis_url) as redis:
            async for stream in redis.scan_iter("podium:events:*"):
                for group in await redis.xinfo_groups(stream):
                    name = f"{stream.decode()} for {group['name'].decode()}"
                    if group["pending"]:
                        found.append(f"{group['pending']} messages are pending on {name}")
                    if group["lag"]:
                        found.append(f"{group['lag']} messages are unread on {name}")
            if letters := await redis.xlen("podium:dead-letters"):
                found.append(f"{letters} dead letters")
        return found


@asynccontextmanager
async def _redis(url: str) -> AsyncIterator[Any]:
    redis = Redis.from_url(url, protocol=2)
    try:
        yield redis
    finally:
        await redis.aclose()


@dataclass
class Loss:
    """A lease whose holder was hit by a fault: when, and when another held it or it was over."""

    service: str
    key: str
    owner: str
    fence: int
    at: float
    taken_after_s: float | None = None
    hit_again: bool = False  # its service was, before it was taken over: it measures two faults


@dataclass
class LeaseWatch:
    """Looks at the leases again and again; notes take-overs, and fences that go back."""

    books: Books
    losses: list[Loss] = field(default_factory=list)
    gone_back: list[str] = field(default_factory=list)
    now: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    _highest: dict[tuple[str, str], int] = field(default_factory=dict)

    def hit(self, name: str) -> None:
        """The replica `name` ("run-1") has just been hit: what it holds has to be taken over."""
        service, _, number = name.rpartition("-")
        for loss in self.losses:
            if loss.service == service and loss.taken_after_s is None:
                # Whoever would have taken it over may be the one that is hit now.
                loss.hit_again = True
        for (of, key), (owner, fence) in self.now.items():
            if of == service and owner.startswith(f"{service}-{number}-"):
                self.losses.append(Loss(service, key, owner, fence, time.monotonic()))

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with contextlib.suppress(*STORE_DOWN, TimeoutError):
                self._compare(await self.books.leases())
            await asyncio.sleep(LOOK_EVERY_S)

    def _compare(self, present: dict[tuple[str, str], tuple[str, int]]) -> None:
        at = time.monotonic()
        for key, (owner, fence) in present.items():
            if fence < self._highest.get(key, 0):
                self.gone_back.append(f"{key}: the fence went from {self._highest[key]} to {fence}")
            self._highest[key] = max(fence, self._highest.get(key, 0))
            self.now[key] = (owner, fence)
        for loss in self.losses:
            if loss.taken_after_s is None:
                owner, fence = self.now[loss.service, loss.key]
                if fence > loss.fence or owner != loss.owner:
                    loss.taken_after_s = at - loss.at
