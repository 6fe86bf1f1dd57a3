"""The three ways in, behind one face, so that one story can be told through each."""

from __future__ import annotations

import asyncio
import json
import sys
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import grpc
from google.protobuf import json_format

from gateway import catalog
from libs import errors
from libs.clock import Clock
from libs.settings import child_environment

PODIUM = str(Path(sys.executable).with_name("podium"))
ENDED = {"COMPLETED", "FAILED", "TERMINATED", "CANCELED", "TIMED_OUT"}


class Refused(Exception):
    """The door answered with an error: its reason, its words, and the fields it names."""

    def __init__(self, reason: str, message: str, fields: dict[str, str], code: Any) -> None:
        super().__init__(f"{reason}: {message} {fields}")
        self.reason = reason
        self.message = message
        self.fields = fields
        self.code = code


class Door(Protocol):
    """One way in."""

    @abstractmethod
    async def ask(self, rpc: str, data: dict | None = None) -> dict:
        """One call, such as ask("run.GetRun", {"run_id": …}), with its answer as data."""

    @abstractmethod
    async def watch(self, run_id: str, after: int = 0) -> list[dict]:
        """The history of a run to its end."""

    @abstractmethod
    async def content(self, artifact_id: str) -> bytes:
        """The bytes of an artifact."""

    async def wait(self, run_id: str, within_s: float = 60) -> dict:
        """The run when it has ended; a wait that breaks with its service is taken up again."""
        clock = Clock()
        end = clock.monotonic() + within_s
        while True:
            left_s = max(0.0, end - clock.monotonic())
            try:
                request = {"run_id": run_id, "timeout": f"{left_s:.3f}s"}
                answer = await self.ask("run.WaitRun", request)
            except Refused as refused:
                if left_s == 0 or refused.reason not in ("UNAVAILABLE", "BREAKER_OPEN"):
                    raise
                await clock.sleep(1)
                continue
            assert answer.get("done"), f"{run_id} has not ended: {answer}"
            return answer["run"]


def method_of(rpc: str) -> catalog.Method:
    """The public RPC of a short name."""
    for method in catalog.public_methods():
        if f"{method.upstream}.{method.rpc.name}" == rpc:
            return method
    raise LookupError(rpc)


class RestDoor(Door):
    """HTTP and JSON, paths as the contracts write them."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def ask(self, rpc, data=None):
        verb, path, body = self._request(rpc, dict(data or {}))
        query = None if verb in ("POST", "PUT") else body
        sent = body if query is None else None
        async with self._session.request(verb, path, json=sent, params=query) as answer:
            value = json.loads(await answer.read() or b"{}")
            if answer.status >= 400:
                raise self._refusal(answer, value)
            return value

    async def watch(self, run_id, after=0):
        params = {"after_sequence": after}
        events = []
        path = f"{self._url}/v1/runs/{run_id}/watch"
        async with self._session.get(path, params=params) as answer:
            assert answer.content_type == "text/event-stream", await answer.text()
            async for line in answer.content:
                if line.startswith(b"data:") and b'"event"' in line:
                    events.append(json.loads(line[5:])["event"])
        return events

    async def content(self, artifact_id):
        async with self._session.get(f"{self._url}/v1/artifacts/{artifact_id}/content") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    def _request(self, rpc, data):
        binding = method_of(rpc).bindings[0]
        path = binding.template
        for name in [name for name in data if f"{{{name}}}" in path]:
            path = path.replace(f"{{{name}}}", quote(str(data.pop(name)), safe=""))
        return binding.verb, self._url + path, data

    def _refusal(self, answer, problem):
        assert answer.content_type == "application/problem+json", problem
        assert problem["status"] == answer.status
        fields = {entry["field"]: entry["why"] for entry in problem.get("violations", ())}
        return Refused(problem["reason"], problem["detail"], fields, answer.status)


class GrpcDoor(Door):
    """gRPC at the edge, with the generated messages."""

    def __init__(self, channel: grpc.aio.Channel, api_key: str) -> None:
        self._channel = channel
        self._metadata = (("x-api-key", api_key),)

    async def ask(self, rpc, data=None):
        method = method_of(rpc)
        call = self._channel.unary_unary(method.rpc.path, *self._codec(method))
        request = json_format.ParseDict(data or {}, method.request())
        try:
            answer = await call(request, timeout=90, metadata=self._metadata)
        except grpc.RpcError as failed:
            raise self._refusal(failed) from None
        return json_format.MessageToDict(answer, preserving_proto_field_name=True)

    async def watch(self, run_id, after=0):
        request = {"run_id": run_id, "after_sequence": after}
        return [
            json_format.MessageToDict(message.event, preserving_proto_field_name=True)
            async for message in self._stream("run.WatchRun", request)
        ]

    async def content(self, artifact_id):
        request = {"artifact_id": artifact_id}
        stream = self._stream("browser_session.GetArtifactContent", request)
        return b"".join([piece.data async for piece in stream])

    async def _stream(self, rpc, data) -> AsyncIterator[Any]:
        method = method_of(rpc)
        call = self._channel.unary_stream(method.rpc.path, *self._codec(method))
        request = json_format.ParseDict(data, method.request())
        async for message in call(request, timeout=90, metadata=self._metadata):
            yield message

    def _codec(self, method):
        return method.request.SerializeToString, method.response.FromString

    def _refusal(self, failed):
        error = errors.from_rpc(failed)
        return Refused(error.reason, error.message, dict(error.violations), error.code)


class CliDoor(Door):
    """The `podium` command as a process of its own."""

    def __init__(self, home: Path, address: str = "") -> None:
        self._home = home
        self._address = address

    async def ask(self, rpc, data=None):
        _, out, _ = await self.podium("call", rpc, "-", "--timeout", "90", stdin=json.dumps(data))
        return json.loads(out)

    async def watch(self, run_id, after=0):
        arguments = ("watch", run_id, "--after", str(after), "--json")
        _, out, _ = await self.podium(*arguments, codes=(0, 1))
        return [json.loads(line) for line in out.splitlines()]

    async def content(self, artifact_id):
        target = self._home / f"{artifact_id}.bytes"
        await self.podium("sessions", "artifact", artifact_id, "-o", str(target))
        return target.read_bytes()

    def environment(self) -> dict[str, str]:
        """The command's environment: the mesh's home and nothing of the machine's own."""
        own = {"PODIUM_HOME": str(self._home), "PODIUM_ADDRESS": self._address}
        return child_environment(PODIUM_API_KEY="", **own)

    async def podium(self, *arguments, stdin="", codes=(0,)) -> tuple[int, str, str]:
        """Run the command; its exit code, stdout and stderr."""
        process = await asyncio.create_subprocess_exec(
            PODIUM,
            "--json",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment(),
        )
        out, err = await process.communicate(stdin.encode())
        if process.returncode not in codes:
            raise self._refusal(process.returncode, err.decode())
        return process.returncode or 0, out.decode(), err.decode()

    def _refusal(self, code, err):
        error = json.loads(err.splitlines()[-1])["error"]
        fields = {entry["field"]: entry["why"] for entry in error.get("violations", ())}
        return Refused(error["reason"], error["message"], fields, code)


@asynccontextmanager
async def opened(kind: str, mesh: Any) -> AsyncIterator[Door]:
    """A door of the mesh: "rest", "grpc" or "cli"."""
    if kind == "rest":
        headers = {"x-api-key": mesh.api_key}
        limit = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(headers=headers, timeout=limit) as session:
            yield RestDoor(mesh.rest, session)
    elif kind == "grpc":
        async with grpc.aio.insecure_channel(mesh.edge) as channel:
            yield GrpcDoor(channel, mesh.api_key)
    else:
        yield CliDoor(mesh.home, mesh.address)


def word(state: str) -> str:
    """COMPLETED of RUN_STATE_COMPLETED."""
    return state.rpartition("STATE_")[2]
