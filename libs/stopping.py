"""Ending background tasks for certain.

Cancelling once is not enough: the Redis client swallows a cancellation that meets it while it
connects (redis 8.1), and its reader would then wait for ever. A TaskGroup passes only the first
cancellation on, so loops that run side by side are held together here instead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from typing import Any

_AGAIN_S = 0.1


async def stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels the tasks until they have ended."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)


async def together(*loops: Coroutine[Any, Any, None]) -> None:
    """Runs the loops side by side until cancelled; when one fails, ends the others and raises."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        stopping = asyncio.create_task(stop(tasks))
        while not stopping.done():
            # Whoever cancels us again is waiting for exactly this.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(stopping)
    for task in tasks:
        if not task.cancelled():
            task.result()
