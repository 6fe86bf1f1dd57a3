"""Time, passed in, so that a test owns it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only ever grow, for measuring."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Waits; cancelling the task ends the wait at once."""
        await asyncio.sleep(seconds)

    async def until(self, moment: datetime) -> None:
        """Waits until `moment`, however often the timer wakes early."""
        while (left := (moment - self.now()).total_seconds()) > 0:
            await self.sleep(left)


class ManualClock(Clock):
    """A clock that stands still until it is told to go on."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The time it was set to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds by which it was advanced."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Waits until it was advanced by so much."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed + seconds, woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass and wakes whoever slept until then."""
        self._now += timedelta(seconds=seconds)
        self._elapsed += seconds
        due = [woken for at, woken in self._sleepers if at <= self._elapsed]
        self._sleepers = [entry for entry in self._sleepers if entry[0] > self._elapsed]
        for woken in due:
            if not woken.done():
                woken.set_result(None)
