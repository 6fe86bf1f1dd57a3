"""One gateway for each test, in a home of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.contract.gateway.edge import Edge, edge


@pytest_asyncio.fixture
async def front(tmp_path: Path) -> AsyncIterator[Edge]:
    """A gateway with its usual settings."""
    async with edge(tmp_path) as opened:
        yield opened
