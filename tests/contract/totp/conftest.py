"""A totp service, fresh for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.totp.service import TotpService
from tests.support.mesh import Running, running


@pytest.fixture
async def totp(tmp_path: Path, redis_url: str) -> AsyncIterator[Running]:
    async with running(TotpService, tmp_path, redis_url) as service:
        yield service
