"""One browser for the tests of a file, and a fresh site for each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.sites.office import Office, office
from tests.support.sites.stage import Stage, stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Stage]:
    async with stage() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def site() -> AsyncIterator[Office]:
    async with office() as site:
        yield site
