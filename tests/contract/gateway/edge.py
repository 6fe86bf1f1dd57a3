"""The whole gateway in front of stand-ins for the services, on real HTTP and real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from google.api import httpbody_pb2

from gateway import app
from gateway.settings import GatewaySettings
from libs import context, errors
from podium.browser_session.v1 import browser_session_pb2_grpc
from podium.run.v1 import run_pb2, run_pb2_grpc
from tests.support.mesh import fake, settings_for, socket_address


class FakeRuns(run_pb2_grpc.RunServiceServicer):
    """Runs without any work behind them; the run's id says how it behaves."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.contexts: list[context.Context] = []
        self.metadata: list[dict[str, Any]] = []
        self.broken = False
        self.hold = asyncio.Event()
        self.cancelled = 0

    async def CreateRun(self, request: Any, grpc_context: Any) -> Any:
        self._note(request, grpc_context)
        return run_pb2.CreateRunResponse(run_id="run_1", run=run_pb2.Run(run_id="run_1"))

    async def GetRun(self, request: Any, grpc_context: Any) -> Any:
        self._note(request, grpc_context)
        match request.run_id:
            case "missing":
                raise errors.NotFound("run", request.run_id)
            case "busy":
                raise errors.Exhausted("no room", retry_after_s=2.5)
            case "bug":
                raise RuntimeError("a secret of the implementation")
            case "hang":
                await asyncio.sleep(60)
            case "hold":
                await self.hold.wait()
        if self.broken:
            raise errors.Unavailable("the database is gone")
        return run_pb2.GetRunResponse(run=run_pb2.Run(run_id=request.run_id, last_sequence=2**53))

    async def ListRuns(self, request: Any, grpc_context: Any) -> Any:
        self._note(request, grpc_context)
        return run_pb2.ListRunsResponse()

    async def CancelRun(self, request: Any, grpc_context: Any) -> Any:
        self._note(request, grpc_context)
        return run_pb2.CancelRunResponse(run=run_pb2.Run(run_id=request.run_id))

    async def WatchRun(self, request: Any, grpc_context: Any) -> Any:
        self._note(request, grpc_context)
        if request.run_id == "missing":
            raise errors.NotFound("run", request.run_id)
        try:
            for sequence in range(request.after_sequence + 1, 4):
                event = run_pb2.RunEvent(
                    run_id=request.run_id, sequence=sequence, type="block.finished"
                )
                yield run_pb2.WatchRunResponse(event=event)
            if request.run_id == "breaks":
                raise errors.Unavailable("the database is gone")
            if request.run_id == "quiet":
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def WaitRun(self, request: Any, grpc_context: Any) -> Any:
        self._note(request, grpc_context)
        await self.hold.wait()
        return run_pb2.WaitRunResponse(done=True)

    def _note(self, request: Any, grpc_context: Any) -> None:
        self.requests.append(request)
        self.contexts.append(context.current())
        self.metadata.append(dict(grpc_context.invocation_metadata()))


class FakeSessions(browser_session_pb2_grpc.BrowserSessionServiceServicer):
    """One artifact in two pieces."""

    async def GetArtifactContent(self, request: Any, grpc_context: Any) -> Any:
        if request.artifact_id == "missing":
            raise errors.NotFound("artifact", request.artifact_id)
        yield httpbody_pb2.HttpBody(content_type="image/png", data=b"\x89PNG")
        if request.artifact_id == "torn":
            raise errors.Unavailable("the disk is gone")
        yield httpbody_pb2.HttpBody(data=b"rest")


@dataclass
class Edge:
    """The gateway under test, as a client sees it."""

    gateway: app.Gateway
    http: aiohttp.ClientSession
    url: str
    channel: grpc.aio.Channel
    key: str
    runs: FakeRuns = field(default_factory=FakeRuns)

    @property
    def auth(self) -> dict[str, str]:
        """The header that opens the door."""
        return {"x-api-key": self.key}

    async def ask(self, verb: str, path: str, **more: Any) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON and headers of a request with the key."""
        headers = {**self.auth, **more.pop("headers", {})}
        url = self.url + path
        async with self.http.request(verb, url, headers=headers, **more) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers


@asynccontextmanager
async def edge(home: Path, runs_at: str = "", **more: Any) -> AsyncIterator[Edge]:
    """A gateway with fake services behind it; a service that is not faked is not there at all."""
    async with AsyncExitStack() as stack:
        runs = FakeRuns()
        peers = {
            "run": runs_at or await stack.enter_async_context(fake("run", runs)),
            "browser_session": await stack.enter_async_context(
                fake("browser_session", FakeSessions())
            ),
        }
        http_socket = socket_address()
        told = settings_for(
            "gateway",
            home,
            "unix:///nowhere.sock",
            peers=peers,
            mesh_address="unix:/nowhere.sock",
            http_listen=http_socket,
        )
        gateway = await stack.enter_async_context(app.running(GatewaySettings(**told | more)))
        connector = aiohttp.UnixConnector(http_socket.removeprefix("unix:"))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        channel = grpc.aio.insecure_channel(told["listen"])
        stack.push_async_callback(channel.close)
        key = (home / "secrets" / "api-key").read_text().strip()
        yield Edge(gateway, http, "http://edge", channel, key, runs)
