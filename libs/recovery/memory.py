"""memory_exhaustion: a process that grew too large sheds load, hands over its work and restarts.

Being killed by the kernel in the middle of something is the alternative. Whoever supervises the
process (the local supervisor, a container's restart policy) starts it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from libs.clock import Clock
from libs.recovery.attempts import Recoveries
from libs.recovery.strategies import Failure, Recovery, Step, Strategy
from libs.shedding import Shedding

LOOK_EVERY_S = 1.0
# One look may meet a peak that is about to pass.
LOOKS_IN_A_ROW = 2
DRAIN_WITHIN_S = 10.0
EXIT_STATUS = 75
"""EX_TEMPFAIL of sysexits.h: the process ended for a reason that a restart mends."""
_STATM = Path("/proc/self/statm")
log = logging.getLogger(__name__)


def resident_mib() -> int:
    """How much memory this process has in use, in MiB; 0 where the kernel does not say."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // (1024 * 1024)


class MemoryWatch:
    """Looks at the size of this process, and ends it in good order when it is above the limit."""

    def __init__(
        self,
        limit_mib: int,
        recoveries: Recoveries,
        clock: Clock,
        shedding: Shedding,
        drain: Callable[[], Awaitable[None]],
        stop: Callable[[int], None],
        measure: Callable[[], int] = resident_mib,
    ) -> None:
        self._limit_mib = limit_mib
        self._recoveries = recoveries
        self._clock = clock
        self._shedding = shedding
        self._drain = drain
        self._stop = stop
        self._measure = measure

    async def run(self) -> None:
        """Looks every second until the process is too large; then recovers, which ends it."""
        above = 0
        while above < LOOKS_IN_A_ROW:
            await self._clock.sleep(LOOK_EVERY_S)
            above = above + 1 if self._measure() > self._limit_mib else 0
        # Shielded: the restart at its end cancels this very task, before the record is written.
        await asyncio.shield(self.recover())

    async def recover(self) -> Recovery:
        """Sheds, drains, and asks for the end of the process; its next life verifies health."""
        size_mib = self._measure()
        strategy = Strategy(
            Failure.MEMORY_EXHAUSTION,
            (
                Step("shed_load", self._shed),
                Step("drain_leases", self._hand_over, DRAIN_WITHIN_S),
                Step("restart", self._restart),
            ),
            verify=None,
        )
        reason = f"the process holds {size_mib} MiB, its limit is {self._limit_mib} MiB"
        recovery = await self._recoveries.attempt(
            strategy, subject=self._recoveries.replica, reason=reason
        )
        # Even when a step failed: what was shed would stay refused for ever.
        self._stop(EXIT_STATUS)
        return recovery

    async def _shed(self) -> str:
        self._shedding.begin("memory")
        return "new calls are refused with RESOURCE_EXHAUSTED"

    async def _hand_over(self) -> str:
        await self._drain()
        return "leases were handed back"

    async def _restart(self) -> str:
        return f"the process ends with status {EXIT_STATUS} to be started again"
