"""Whether this machine has room for more work: memory and processors, with hysteresis.

Browsers that sit idle need memory, browsers at work need processors. Under pressure no browser
beyond a few is started: those asked for wait in line. What closed the gate must ease well below the
mark before it opens again, or it would flap.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from libs.clock import Clock

SAMPLE_EVERY_S = 0.5
MEMORY = Path("/proc/meminfo")
PROCESSORS = Path("/proc/pressure/cpu")
GROUP = Path("/sys/fs/cgroup")
BROWSERS_A_CORE = 4


@dataclass(frozen=True)
class Marks:
    """Where the gate closes and where it opens again, in percent."""

    least_free_memory: float = 8.0
    most_stalled: float = 97.0
    free_memory_again: float = 12.0
    stalled_again: float = 85.0


@dataclass(frozen=True)
class Reading:
    """How the machine is: memory that is free, time in which work waited for a processor."""

    free_memory: float
    stalled: float


class Gate:
    """Open or closed, by the readings that came so far."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self.is_open = True

    def take(self, reading: Reading) -> bool:
        """Takes a reading; answers whether the gate is open now."""
        marks = self._marks
        if self.is_open:
            too_much = (
                reading.free_memory < marks.least_free_memory
                or reading.stalled > marks.most_stalled
            )
            self.is_open = not too_much
        else:
            self.is_open = (
                reading.free_memory >= marks.free_memory_again
                and reading.stalled <= marks.stalled_again
            )
        return self.is_open


class Pressure:
    """The gate of this machine."""

    def __init__(self, clock: Clock, marks: Marks) -> None:
        self._clock = clock
        self._gate = Gate(marks)
        self._due = 0.0

    def is_calm(self) -> bool:
        """Whether more work may be started; looks at the machine now and then."""
        now = self._clock.monotonic()
        if now >= self._due:
            self._due = now + SAMPLE_EVERY_S
            self._gate.take(Reading(free_memory_percent(), stalled_percent()))
        return self._gate.is_open

    def capacity(self, usual: int) -> int:
        """How many browsers may run now: under pressure only as many as get by on few processors,
        so that one who waits never waits for a machine that does nothing.
        """
        return usual if self.is_calm() else min(usual, BROWSERS_A_CORE * (os.cpu_count() or 1))


def free_memory_percent() -> float:
    """Memory that could be used without swapping, of the machine or of our share of it."""
    try:
        lines = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
        whole, free = (_kib(lines[name]) for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return 100.0
    machine = 100.0 * free / whole
    try:
        limit = float((GROUP / "memory.max").read_text())
        used = float((GROUP / "memory.current").read_text())
        statistics = dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
        # Pages of files that nobody uses are given up when they are needed.
        used -= float(statistics.get("inactive_file", 0))
    except (OSError, ValueError):
        return machine
    return min(machine, 100.0 * max(0.0, limit - used) / limit)


def stalled_percent() -> float:
    """Share of the last ten seconds in which some work waited for a processor."""
    try:
        some = PROCESSORS.read_text().splitlines()[0]
        return float(some.split("avg10=")[1].split()[0])
    except (OSError, IndexError, ValueError):
        return 0.0


def _kib(text: str) -> int:
    return int(text.split()[0])
