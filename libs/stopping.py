"""Ending background tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_S = 0.1


async def stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels the tasks until they have ended.

    Once is not enough: the Redis client swallows a cancellation that meets it while it connects
    (redis 8.1), and its reader would then wait for ever.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
