"""A replica that is killed at a chosen commit: nothing it does after that has any effect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from libs.db import Tx
from libs.events.bus import BusUnavailable
from libs.rpc.mesh import Mesh


class Killed(Exception):
    """What the code of a dead process would have got, were it still there to get anything."""


class Doomed:
    """Counts the units that a replica hands in, and kills it just before or just after one."""

    def __init__(self, mesh: Mesh, *, at: int, before: bool) -> None:
        self.died = asyncio.Event()
        self._at = at
        self._before = before
        self._count = 0
        self._mesh = mesh
        self._write, self._read = mesh.db.write, mesh.db.read
        self._publish = mesh.bus.publish_if_whole
        self._after_commit = mesh.db.after_commit
        mesh.db.write = self.write  # type: ignore[method-assign]
        mesh.db.read = self.read  # type: ignore[method-assign]
        mesh.bus.publish_if_whole = self.publish  # type: ignore[method-assign]
        mesh.db.after_commit = self.after_commit

    @property
    def dead(self) -> bool:
        return self.died.is_set()

    async def write(self, unit: Callable[[Tx], Any]) -> Any:
        self._check()
        self._count += 1
        if self._count != self._at:
            answer = await self._write(unit)
            self._check()
            return answer
        if self._before:
            self.died.set()
            raise Killed
        # From the commit on nothing may follow from it: no event, no hint, no answer.
        self._mesh.db.after_commit = lambda _tx: None
        await self._write(unit)
        self.died.set()
        raise Killed

    async def read(self, query: Callable[[Tx], Any]) -> Any:
        self._check()
        return await self._read(query)

    async def publish(self, stream: str, events: Sequence[Any]) -> None:
        if self.dead:
            raise BusUnavailable("killed")
        await self._publish(stream, events)

    def after_commit(self, tx: Tx) -> None:
        if not self.dead:
            self._after_commit(tx)

    def _check(self) -> None:
        if self.dead:
            raise Killed
