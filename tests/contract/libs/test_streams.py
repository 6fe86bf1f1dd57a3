"""What happens to a call when its caller goes away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import sqlalchemy as sa

from libs import context
from libs.rpc.mesh import Mesh
from podium.task.v1 import task_pb2, task_pb2_grpc
from tests.support.eventually import eventually
from tests.support.mesh import Running, running


class Endless(task_pb2_grpc.TaskServiceServicer):
    """Streams, or works on one answer, until nobody listens."""

    __module__ = "services.task.service"
    tables = sa.MetaData()
    ended: asyncio.Event

    @classmethod
    @asynccontextmanager
    async def open(cls, _mesh: Mesh) -> AsyncIterator[Self]:
        cls.ended = asyncio.Event()
        yield cls()

    async def ExecuteTask(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        assert context.current().organization_id == "org_a"
        try:
            while True:
                yield task_pb2.ExecuteTaskResponse()
                await asyncio.sleep(0.01)
        finally:
            self.ended.set()

    async def CancelTask(self, request: Any, _context: Any) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


@pytest.fixture
async def service(tmp_path: Path, redis_url: str) -> AsyncIterator[Running]:
    async with running(Endless, tmp_path, redis_url) as made:
        yield made


async def test_a_stream_ends_cleanly_when_its_reader_stops(
    service: Running, caplog: pytest.LogCaptureFixture
) -> None:
    stub = service.stub(task_pb2_grpc.TaskServiceStub, as_="workflow")
    with caplog.at_level(logging.WARNING):
        stream = stub.ExecuteTask(task_pb2.ExecuteTaskRequest())
        await anext(stream)
        await anext(stream)
        await stream.aclose()
        await eventually(Endless.ended.is_set)
        await asyncio.sleep(0.1)  # what a collected generator complains about comes later
    assert caplog.records == []


async def test_a_cancelled_caller_cancels_the_call(service: Running) -> None:
    stub = service.stub(task_pb2_grpc.TaskServiceStub, as_="workflow")
    calling = asyncio.create_task(stub.CancelTask(task_pb2.CancelTaskRequest()))
    await asyncio.sleep(0.2)
    calling.cancel()
    await eventually(Endless.ended.is_set)
