"""Bulkheads, one for each upstream: a slow upstream fills its own room and nobody else's.

A call holds a place while the upstream works on it. Streams and long waits (WatchRun, WaitRun) last
by nature without keeping the upstream busy: a few dozen watchers would otherwise lock everybody out
of the service. They take no place and have a wide limit of their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from libs import errors


@dataclass(frozen=True)
class Room:
    """How much of it there is."""

    concurrent: int
    queued: int
    long_lived: int = 1000
    acquire_timeout_s: float = 30.0


class Bulkhead:
    """The places of one upstream, given in the order in which they were asked for."""

    def __init__(self, upstream: str, room: Room) -> None:
        self.upstream = upstream
        self.room = room
        self.running = 0
        self.long_lived = 0
        self.refused = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def queued(self) -> int:
        """How many wait for a place."""
        return len(self._queue)

    def resize(self, room: Room) -> None:
        """Change how much room there is; who has a place keeps it."""
        self.room = room
        while self._queue and self.running < room.concurrent:
            self.running += 1
            self.release()

    @asynccontextmanager
    async def place(self, within_s: float | None = None) -> AsyncIterator[None]:
        """Hold a place during the block; Exhausted when the queue is full or the wait too long."""
        await self.acquire(within_s)
        try:
            yield
        finally:
            self.release()

    @asynccontextmanager
    async def long_stay(self) -> AsyncIterator[None]:
        """Count as a stream or a long wait during the block; Exhausted when there are too many."""
        if self.long_lived >= self.room.long_lived:
            raise self._refusal("has too many open streams and waiting calls")
        self.long_lived += 1
        try:
            yield
        finally:
            self.long_lived -= 1

    async def acquire(self, within_s: float | None = None) -> None:
        """Take a place, waiting for it when there is none; every one is to be released."""
        if self.running < self.room.concurrent and not self._queue:
            self.running += 1
            return
        if len(self._queue) >= self.room.queued:
            raise self._refusal("is busy and its queue is full")
        patience_s = self.room.acquire_timeout_s
        await self._wait(patience_s if within_s is None else min(patience_s, within_s))

    def release(self) -> None:
        """Give a place back: to the first in the queue, who need not ask again."""
        while self._queue and self.running <= self.room.concurrent:
            first = self._queue.popleft()
            if not first.done():
                first.set_result(None)
                return
        self.running -= 1

    async def _wait(self, patience_s: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await asyncio.wait_for(asyncio.shield(turn), patience_s)
        except BaseException as error:
            if turn.done():
                self.release()  # The place came in the very moment we gave up.
            else:
                turn.cancel()
                self._queue.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._refusal("stayed busy for too long") from None
            raise

    def _refusal(self, why: str) -> errors.Exhausted:
        self.refused += 1
        return errors.Exhausted(
            f"the {self.upstream} service {why}",
            reason="BULKHEAD_FULL",
            retry_after_s=1.0,
            metadata={"upstream": self.upstream},
        )
