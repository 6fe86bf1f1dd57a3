"""The task service on real gRPC, with a real browser and a small real site."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import async_playwright

from libs import context, ids
from podium.task.v1 import task_pb2 as pb
from podium.task.v1.task_pb2_grpc import TaskServiceStub
from services.task.service import TaskService
from tests.support.mesh import Running, fake, running
from tests.support.sites.neighbours import OneCredential, OneSession
from tests.support.sites.office import Office, office
from tests.support.sites.stage import chromium

SESSION = ids.new("bs")
RUN = ids.new("run")


@dataclass
class Hall:
    """Everything around the service under test; `service()` starts one more replica."""

    home: Path
    redis_url: str
    site: Office
    sessions: OneSession
    totp: OneCredential
    peers: dict[str, str]
    stack: AsyncExitStack
    replicas: list[Running] = field(default_factory=list)

    async def service(self, **more: Any) -> Running:
        started = running(TaskService, self.home, self.redis_url, peers=self.peers, **more)
        replica = await self.stack.enter_async_context(started)
        self.replicas.append(replica)
        return replica

    def stub(self, as_: str = "workflow", organization: str = "org_a") -> Any:
        return self.replicas[0].stub(TaskServiceStub, as_=as_, organization=organization)

    async def execute(self, request_id: str = "", **spec: Any) -> list[pb.ExecuteTaskResponse]:
        return [update async for update in self.updates(request_id, **spec)]

    def updates(self, request_id: str = "", **spec: Any) -> AsyncIterator[pb.ExecuteTaskResponse]:
        return self.follow(asking(request_id, **spec))

    async def follow(self, request: pb.ExecuteTaskRequest) -> AsyncIterator[Any]:
        with context.bind(run_id=RUN):
            async for update in self.stub().ExecuteTask(request):
                yield update

    async def finished(self, request_id: str = "", **spec: Any) -> pb.Task:
        async with asyncio.timeout(30):
            return (await self.execute(request_id, **spec))[-1].finished


def asking(request_id: str = "", **spec: Any) -> pb.ExecuteTaskRequest:
    """A request whose actions and schema are written as plain data."""
    actions = spec.pop("actions", [])
    schema = spec.pop("schema", None)
    request = pb.ExecuteTaskRequest(
        request_id=request_id or ids.new("key"),
        block_path="step",
        browser_session_id=SESSION,
        spec=pb.TaskSpec(**spec),
    )
    for action in actions:
        request.spec.actions.add().update(action)
    if schema is not None:
        request.spec.extraction.schema.update(schema)
    return request


@pytest.fixture
async def hall(tmp_path: Path, redis_url: str) -> AsyncIterator[Hall]:
    downloads = Path(tempfile.mkdtemp(prefix="pt-downloads-"))
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(office())
        address = await stack.enter_async_context(chromium())
        driver = await stack.enter_async_context(async_playwright())
        keeper = await driver.chromium.connect_over_cdp(address)
        channel = await keeper.new_browser_cdp_session()
        sessions = OneSession(address, channel, downloads)
        totp = OneCredential()
        peers = {
            "browser_session": await stack.enter_async_context(fake("browser_session", sessions)),
            "totp": await stack.enter_async_context(fake("totp", totp)),
        }
        hall = Hall(tmp_path, redis_url, site, sessions, totp, peers, stack)
        await hall.service()
        yield hall
    shutil.rmtree(downloads, ignore_errors=True)
