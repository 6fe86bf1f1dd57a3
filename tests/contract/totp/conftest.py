"""A totp service, fresh for each test, or one for a module; and what tests ask of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.totp.service import TotpService
from tests.support.mesh import Running, running


@pytest.fixture
async def totp(tmp_path: Path, redis_url: str) -> AsyncIterator[Running]:
    async with running(TotpService, tmp_path, redis_url) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str
) -> AsyncIterator[Running]:
    """One service for the tests of a module, which keep apart by their organisations."""
    home = tmp_path_factory.mktemp("totp")
    more = {"totp_pull_s": 0.05, "totp_mail_poll_s": 0.05}
    async with running(TotpService, home, redis_url, **more) as service:
        yield service
