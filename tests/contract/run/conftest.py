"""The run service between stand-ins for what it calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from podium.run.v1 import run_pb2_grpc
from services.run.service import RunService
from tests.contract.run.upstreams import Upstreams, upstreams
from tests.support.mesh import Running, running


@pytest.fixture
async def others(redis_url: str) -> AsyncIterator[Upstreams]:
    async with upstreams(redis_url) as made:
        yield made


@pytest.fixture
async def service(others: Upstreams, tmp_path: Path, redis_url: str) -> AsyncIterator[Running]:
    async with running(RunService, tmp_path, redis_url, peers=others.peers) as made:
        yield made


@pytest.fixture
def stub(service: Running) -> Any:
    return service.stub(run_pb2_grpc.RunServiceStub)
