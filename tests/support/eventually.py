"""Waiting for something to become true, without sleeping for luck."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def eventually(predicate: Callable[[], Any], within: float = 5.0) -> Any:
    """Asks until the predicate (sync or async) answers something true; fails after `within` s.

    AssertionErrors count as "not yet" and the last one is shown.
    """
    end = time.monotonic() + within
    last: object = None
    while True:
        try:
            answer = predicate()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return answer
            last = answer
        except AssertionError as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s: {last}")
        await asyncio.sleep(0.02)
