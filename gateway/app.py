"""The gateway's process: both doors, opened together, drained together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import uvicorn
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc
from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

from gateway import store
from gateway.admission import Admission
from gateway.alarms import Alarms
from gateway.auth import Keys, ensure_first_key
from gateway.catalog import Method, internal_methods, public_methods
from gateway.limits import RateLimit
from gateway.mesh.service import MeshRpcs
from gateway.mesh.standing import Standing
from gateway.mesh.tuning import tuned
from gateway.proxy import PublicRpcs
from gateway.reflection import EdgeReflection
from gateway.rest import openapi
from gateway.rest.bodies import LARGEST_BODY_BYTES
from gateway.rest.door import RestDoor
from gateway.rest.pages import Pages
from gateway.rest.peer import transport_of
from gateway.rest.routes import Routes
from gateway.rest.streaming import Streaming
from gateway.rest.tunnel import LARGEST_MESSAGE_BYTES, tunnels
from gateway.settings import GatewaySettings
from gateway.upstreams import Upstreams
from libs import metrics, telemetry
from libs.clock import Clock
from libs.db import Database, open_database
from libs.rpc import client
from libs.rpc.certificates import Certificates, listen
from libs.rpc.peers import peers_of
from libs.settings import load

log = logging.getLogger(__name__)

SERVICE = "gateway"
Stop = Callable[[], Awaitable[None]]
# Longer than Envoy keeps an idle connection to us (300 s): whoever closes first must not be the
# server, or a request that is already on its way is lost.
KEEP_ALIVE_S = 360
BACKLOG = 512
GRPC_OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_BODY_BYTES),
    ("grpc.max_send_message_length", client.LARGEST_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    # Envoy's pings are no attack.
    ("grpc.http2.max_ping_strikes", 0),
]


@dataclass
class Gateway:
    """The parts of an open gateway that others look at."""

    settings: GatewaySettings
    db: Database
    upstreams: Upstreams
    pages: Pages
    streaming: Streaming
    methods: tuple[Method, ...]
    first_start: bool


def serve_gateway() -> None:
    """Run the gateway until it is told to stop."""
    uvloop.run(_until_stopped(load(GatewaySettings, service=SERVICE)))


async def _until_stopped(settings: GatewaySettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder = settings.trace_folder if settings.traces else None
    telemetry.start(SERVICE, settings.replica, folder, settings.log_level, settings.otlp_endpoint)
    with metrics.served(settings.metrics_listen):
        async with running(settings):
            log.info("serving REST at %s, gRPC at %s", settings.http_listen, settings.listen)
            await stop.wait()
            log.info("draining")


@asynccontextmanager
async def running(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """A gateway that serves inside the block and is drained at its end."""
    clock = Clock()
    url = settings.database_url or f"sqlite:///{settings.data.absolute()}/{SERVICE}.db"
    db = await open_database(url, store.METADATA, clock, schema=SERVICE)
    try:
        key_file = settings.home / "secrets" / "api-key"
        given = settings.first_api_key.get_secret_value()
        first_start = await ensure_first_key(db, key_file, given)
        async with (
            _channels(settings) as channels,
            Alarms.open(db, SERVICE, settings.redis_url, clock) as alarms,
            AsyncExitStack() as stack,
        ):
            methods = public_methods()
            known = (*methods, *internal_methods())
            upstreams = Upstreams(channels.to, known, settings, clock, alarms.breaker_opened)
            rate = RateLimit(settings.rate_per_s, settings.rate_burst, clock)
            standing = await stack.enter_async_context(_standing(settings, db, upstreams, rate))
            keys = Keys(db, clock, settings.key_cache_s)
            admission = Admission(keys, rate, peers_of(channels.certificates))
            routes = Routes(methods)
            pages = Pages(openapi.document(routes.all))
            streaming = Streaming(settings.keep_alive_s)
            carrying = tunnels(upstreams, admission, channels.certificates)
            tunnel = await stack.enter_async_context(carrying)
            door = RestDoor(routes, admission, upstreams, streaming, pages, tunnel)
            rpcs = PublicRpcs(methods, admission, upstreams)
            reflection = EdgeReflection(methods, admission)
            stop_grpc = await _open_grpc(settings, channels.certificates, rpcs, reflection)
            stop_http = await _open_http(settings, channels.certificates, door, pages, streaming)
            standing.begin()
            try:
                yield Gateway(settings, db, upstreams, pages, streaming, methods, first_start)
            finally:
                await standing.leave()
                # Both at once: each may need the whole grace period.
                await asyncio.gather(stop_grpc(), stop_http())
    finally:
        await db.close()


@asynccontextmanager
async def _standing(
    settings: GatewaySettings, db: Database, upstreams: Upstreams, rate: RateLimit
) -> AsyncIterator[Standing]:
    """The gateway's place in the mesh, and the RPCs that it answers about the mesh."""
    heeding = tuned(settings, upstreams.guards, rate)
    async with Standing.open(settings, db, heeding) as standing:
        own = MeshRpcs(db, standing.registry, upstreams.guards, standing.changed)
        upstreams.own = own.handlers()
        yield standing


class _Channels:
    """One channel to each address that upstreams are reached at."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._open: dict[str, grpc.aio.Channel] = {}
        self.certificates = Certificates.of(settings)

    def to(self, upstream: str) -> grpc.aio.Channel:
        """The channel to an upstream: through Envoy unless the settings name its address."""
        address = self._settings.peers.get(upstream, self._settings.mesh_address)
        if address not in self._open:
            self._open[address] = client.channel(address, self.certificates)
        return self._open[address]

    async def close(self) -> None:
        """Close them all."""
        for channel in self._open.values():
            await channel.close()


@asynccontextmanager
async def _channels(settings: GatewaySettings) -> AsyncIterator[_Channels]:
    channels = _Channels(settings)
    try:
        yield channels
    finally:
        await channels.close()


async def _open_grpc(
    settings: GatewaySettings,
    certificates: Certificates | None,
    rpcs: PublicRpcs,
    reflection: EdgeReflection,
) -> Stop:
    """Open the gRPC door; answers how to drain it."""
    spans = aio_server_interceptor(filter_=filters.negate(filters.health_check()))
    server = grpc.aio.server(options=GRPC_OPTIONS, interceptors=[spans])
    server.add_generic_rpc_handlers((rpcs,))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflection, server)
    status = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    listen(server, settings.listen, certificates)
    await server.start()
    await status.set("", health_pb2.HealthCheckResponse.SERVING)

    async def stop() -> None:
        await status.enter_graceful_shutdown()
        await server.stop(settings.drain_grace_s)

    return stop


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers: this process has two doors and one way to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.open = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say when it is done."""
        await super().startup(sockets)
        self.open.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _http_config(
    settings: GatewaySettings, certificates: Certificates | None, door: RestDoor
) -> uvicorn.Config:
    return uvicorn.Config(
        door,
        **transport_of(settings.http_listen, certificates),
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.drain_grace_s)),
    )


async def _open_http(
    settings: GatewaySettings,
    certificates: Certificates | None,
    door: RestDoor,
    pages: Pages,
    streaming: Streaming,
) -> Stop:
    """Open the REST door; answers how to drain it."""
    server = _HttpServer(_http_config(settings, certificates, door))
    listener = _listener(settings.http_listen)
    serving = asyncio.create_task(server.serve([listener]), name="http")
    opening = asyncio.create_task(server.open.wait())
    await asyncio.wait({opening, serving}, return_when="FIRST_COMPLETED")
    opening.cancel()
    if serving.done():
        # It ended before it was open: raise what it died of, so that the process ends as well.
        await serving
        raise RuntimeError(f"the REST door at {settings.http_listen} did not open")

    async def stop() -> None:
        pages.draining = True
        streaming.drain()
        server.should_exit = True
        await serving
        listener.close()

    return stop


def _listener(address: str) -> socket.socket:
    """A bound socket at "host:port" or "unix:/path"."""
    if address.startswith("unix:"):
        _forget(address)
        path = Path(address.removeprefix("unix:"))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        path.chmod(0o600)
    else:
        host, _, port = address.rpartition(":")
        listener = socket.create_server((host, int(port)), backlog=BACKLOG)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _forget(address: str) -> None:
    """Remove the socket of a process that was killed."""
    if address.startswith("unix:"):
        Path(address.removeprefix("unix:")).unlink(missing_ok=True)
