"""An event loop whose time is a number: it jumps to the next timer when there is nothing to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.clock import Clock

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class _Nothing(selectors.DefaultSelector):
    """Waits for no file; waiting moves the loop's time instead."""

    jump: Any

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits and no timer is set: a deadlock")
        self.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop of virtual time; work for other threads is done at once, in this one."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = _Nothing()
        super().__init__(selector)
        selector.jump = self._jump

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def run_in_executor(self, _executor: Any, function: Any, *arguments: Any) -> Any:
        """The result of a function, which no thread is needed for here."""
        done = self.create_future()
        try:
            done.set_result(function(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done

    def _jump(self, seconds: float) -> None:
        self._now += max(seconds, 0.0)


class VirtualClock(Clock):
    """The loop's time as a clock."""

    def now(self) -> datetime:
        """The virtual time of day."""
        return _EPOCH + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """The loop's seconds."""
        return asyncio.get_running_loop().time()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Carry a coroutine out in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
