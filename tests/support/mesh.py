"""One service, or several, on real gRPC with real SQLite and Valkey, inside the test's process.

    async with running(TotpService, home, redis_url) as totp:
        stub = totp.stub(TotpServiceStub, as_="task", organization="org_a")
        await stub.OpenChallenge(...)

Other services stand at `peers`: addresses, by name. `fake` serves a stand-in servicer for one.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc.aio import Channel

from libs import context, ids
from libs.rpc import client, identity, policy
from libs.rpc.chain import ServerChain
from libs.rpc.mesh import Mesh
from libs.rpc.serve import name_of
from libs.rpc.serve import running as serving
from libs.secrets import Vault
from libs.settings import Settings

PRIVATE_KEY, PUBLIC_KEY = identity.generate()
VAULT_KEYS = Vault.fresh_text()


def token(service: str) -> str:
    """The token of a service in this test's mesh."""
    return identity.mint(PRIVATE_KEY, service)


def socket_address() -> str:
    """A fresh unix socket, short enough for every kernel."""
    return f"unix:{tempfile.mkdtemp(prefix='pt-')}/s"


@dataclass
class Running:
    """A service under test."""

    mesh: Mesh
    address: str
    channel: Channel

    def stub(self, stub_class: type[Any], as_: str = "gateway", organization: str = "org_a") -> Any:
        """The service's stub as the caller `as_` of an organisation has it."""
        return _As(client.stub(stub_class, self.channel, token(as_)), organization)


class _As:
    """A stub whose every call is made for one organisation."""

    def __init__(self, stub: Any, organization: str) -> None:
        self._stub = stub
        self._organization = organization

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._stub, name)
        rpc = next(rpc for rpc in policy.rpcs().values() if rpc.name == name and _has(self, rpc))
        if rpc.streaming:

            async def stream(request: Any, timeout: float | None = None) -> AsyncIterator[Any]:
                with context.bind(organization_id=self._organization):
                    opened = call(request, timeout=timeout)
                    async for response in opened:
                        yield response

            return stream

        async def unary(request: Any, timeout: float | None = None) -> Any:
            with context.bind(organization_id=self._organization):
                return await call(request, timeout=timeout)

        return unary


def _has(stub: _As, rpc: policy.Rpc) -> bool:
    return type(stub._stub).__module__ == f"podium.{rpc.service}.v1.{rpc.service}_pb2_grpc"


def settings_for(service: str, home: Path, redis_url: str, **more: Any) -> dict[str, Any]:
    """Settings of a service under test."""
    return {
        "service": service,
        "replica": ids.token(3),
        "home": home,
        "listen": socket_address(),
        "redis_url": redis_url,
        "service_token": token(service),
        "token_public_key": PUBLIC_KEY,
        "vault_keys": VAULT_KEYS,
        "traces": False,
        "drain_grace_s": 0.5,
        "allow_private_targets": True,
        # Only what a test asks for runs.
        "browser_warm": 0,
        **more,
    }


@asynccontextmanager
async def running(
    service_class: type[Any],
    home: Path,
    redis_url: str,
    peers: dict[str, str] | None = None,
    **more: Any,
) -> AsyncIterator[Running]:
    """Runs one replica of a service; call it twice with the same home for two replicas."""
    name = name_of(service_class)
    kind = getattr(service_class, "settings", Settings)
    settings = kind(**settings_for(name, home, redis_url, peers=peers or {}, **more))
    async with serving(service_class, settings) as mesh:
        channel = client.channel(settings.listen)
        try:
            yield Running(mesh, settings.listen, channel)
        finally:
            await channel.close()


@asynccontextmanager
async def fake(service: str, servicer: Any) -> AsyncIterator[str]:
    """Serves a stand-in for another service behind the real chain; answers its address."""
    server = grpc.aio.server(interceptors=[ServerChain(PUBLIC_KEY)])
    described = policy.service_descriptor(service)
    module = importlib.import_module(f"podium.{service}.v1.{service}_pb2_grpc")
    getattr(module, f"add_{described.name}Servicer_to_server")(servicer, server)
    address = socket_address()
    server.add_insecure_port(address)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(0)


@contextmanager
def organization(name: str) -> Iterator[None]:
    """Makes direct calls of libs and domain code for an organisation."""
    with context.bind(organization_id=name, request_id=ids.new("req")):
        yield
