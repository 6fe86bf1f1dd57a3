"""serve(ServiceClass): the whole life of a service process, the same for each.

Settings → telemetry → database → bus → the service → gRPC with health and reflection → until
SIGTERM, then drain: no new work, leases handed back, calls in flight finished, events flushed.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

from libs import alarms, errors, ids, lease, metrics, registry, telemetry, tuning, worker
from libs.clock import Clock
from libs.db import open_database
from libs.db.crash import CrashPoint
from libs.events.redis import RedisBus, connect
from libs.presence import Presence, described
from libs.recovery import Step, StepFailed
from libs.recovery.database import DatabaseWatch
from libs.recovery.memory import MemoryWatch, resident_mib
from libs.relay import Relay
from libs.rpc import policy
from libs.rpc.certificates import listen
from libs.rpc.chain import ServerChain
from libs.rpc.client import LARGEST_MESSAGE_BYTES
from libs.rpc.mesh import Mesh
from libs.rpc.peers import peers_of
from libs.settings import Settings, load
from libs.signals import Signals

log = logging.getLogger(__name__)
SERVER_OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
    ("grpc.max_send_message_length", LARGEST_MESSAGE_BYTES),
    # Two replicas on one port would share it silently.
    ("grpc.so_reuseport", 0),
    # Envoy's pings tell it whether we are still there; gRPC would take them for an attack.
    ("grpc.http2.max_ping_strikes", 0),
]


def serve(service_class: type[Any]) -> None:
    """Runs a service until it is told to stop."""
    settings_kind = getattr(service_class, "settings", Settings)
    settings = load(settings_kind, service=name_of(service_class))
    if status := uvloop.run(_until_stopped(service_class, settings)):
        raise SystemExit(status)


def name_of(service_class: type[Any]) -> str:
    """The one name of a service: "run" for RunService of services.run.service."""
    return service_class.__module__.split(".")[1]


async def _until_stopped(service_class: type[Any], settings: Settings) -> int:
    stop, status = asyncio.Event(), 0
    loop = asyncio.get_running_loop()

    def restart(exit_status: int) -> None:
        nonlocal status
        status = exit_status
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    telemetry.start(
        settings.service,
        settings.replica,
        settings.trace_folder if settings.traces else None,
        settings.log_level,
        settings.otlp_endpoint,
    )
    with metrics.served(settings.metrics_listen):
        async with running(service_class, settings, restart):
            log.info("serving %s at %s", settings.service, settings.listen)
            await stop.wait()
            log.info("draining")
    return status


@asynccontextmanager
async def running(
    service_class: type[Any], settings: Settings, stop: Callable[[int], None] | None = None
) -> AsyncIterator[Mesh]:
    """A service that serves inside the block and is drained at its end.

    `stop` is told when the process must end, and with which status, for another to take its place.
    """
    async with opened_mesh(service_class.tables, settings) as mesh:
        relay = Relay(mesh.db, mesh.bus, settings.service, mesh.clock)
        mesh.db.after_commit = lambda tx: _after_commit(mesh, relay, tx)
        async with service_class.open(mesh) as service:
            server, status = await _start_server(service, mesh)
            presence = _presence(mesh, service)
            mesh.spawn(presence.run(), "presence")
            mesh.spawn(relay.run(), "relay")
            _watch_health(mesh, service, stop)
            if subscriptions := getattr(service, "subscriptions", ()):
                consuming = mesh.bus.consume(
                    settings.service, mesh.replica, subscriptions, mesh.ended
                )
                mesh.spawn(consuming, "consumer")
            try:
                yield mesh
            finally:
                await presence.leave()
                await _drain(mesh, server, status, settings)
                with contextlib.suppress(Exception):
                    await relay.flush()


@asynccontextmanager
async def opened_mesh(tables: Any, settings: Settings) -> AsyncIterator[Mesh]:
    """The parts of a process, opened and closed together."""
    clock = Clock()
    url = settings.database_url or f"sqlite:///{settings.data.absolute()}/{settings.service}.db"
    database = await open_database(url, tables, clock, schema=settings.service)
    database.crash = CrashPoint.of(settings.crash_at, settings.service)
    redis = connect(settings.redis_url)
    signals = Signals(redis, clock)
    signals.start()
    bus = RedisBus(redis, clock)
    bus.on_buried = partial(alarms.dead_letter, database, settings.service)
    mesh = Mesh(
        settings=settings,
        clock=clock,
        db=database,
        bus=bus,
        signals=signals,
        # Fresh at each start: what a killed process had leased is not the new one's.
        replica=settings.owner(settings.life or ids.token(4)),
        redis=redis,
        ended=tuple(map(settings.owner, settings.ended_lives)),
    )
    try:
        await _inherit(mesh, tables)
        yield mesh
    finally:
        await mesh.close()
        await signals.close()
        await database.close()
        await redis.aclose()


async def _inherit(mesh: Mesh, tables: Any) -> None:
    """What earlier lives of this replica held is free at once, for whoever comes first."""
    if not mesh.ended:
        return
    try:
        ended = await mesh.db.write(lambda tx: lease.end(tx, tables, mesh.ended))
    except errors.PodiumError as error:
        # They run out by themselves.
        log.warning("could not end the leases of %s: %s", ", ".join(mesh.ended), error)
    else:
        log.info("ended %d leases of %s", ended, ", ".join(mesh.ended))


def _watch_health(mesh: Mesh, service: Any, stop: Callable[[int], None] | None) -> None:
    """Recovers from what any process may meet: its database gone, its memory used up."""
    recoveries, clock = mesh.recoveries, mesh.clock
    mesh.spawn(DatabaseWatch(mesh.db, recoveries, clock).run(), "database-watch")

    async def healthy() -> str:
        await mesh.db.read(lambda tx: tx.now)
        if not getattr(service, "health", lambda: True)():
            raise StepFailed("the service says that it is not healthy")
        return f"serving again with {resident_mib()} MiB"

    mesh.spawn(recoveries.verify_restart(Step("verify_health", healthy)), "verify-restart")
    limit_mib = mesh.settings.memory_limit_mib
    if limit_mib and stop is not None:
        watch = MemoryWatch(limit_mib, recoveries, clock, mesh.shedding, mesh.drain, stop)
        mesh.spawn(watch.run(), "memory-watch")


def _presence(mesh: Mesh, service: Any) -> Presence:
    """This replica in the registry, where Envoy's discovery finds it."""

    def health() -> str:
        if mesh.shedding.is_on:
            return registry.SHEDDING
        return (
            registry.SERVING if getattr(service, "health", lambda: True)() else registry.UNHEALTHY
        )

    settings, tuned = mesh.settings, tuning.Tuning()
    tuning.log_level(tuned, settings.service, settings.log_level)
    tuned.on("work_concurrency", settings.service, partial(worker.resize, settings.service))
    return Presence(
        mesh.redis,
        mesh.clock,
        described(settings, mesh.replica, mesh.clock),
        health=health,
        settings=tuned.state,
        hear=tuned.hear,
        ended=mesh.ended,
    )


def _after_commit(mesh: Mesh, relay: Relay, tx: Any) -> None:
    relay.hand_over(tx)
    for topic in tx.topics:
        mesh.signals.notify(topic)


async def _start_server(service: Any, mesh: Mesh) -> tuple[grpc.aio.Server, Any]:
    settings = mesh.settings
    server = grpc.aio.server(
        options=SERVER_OPTIONS,
        interceptors=[
            ServerChain(
                settings.token_public_key, shedding=mesh.shedding, peers=peers_of(mesh.certificates)
            ),
            aio_server_interceptor(filter_=filters.negate(filters.health_check())),
        ],
    )
    described = policy.service_descriptor(settings.service)
    module = importlib.import_module(f"podium.{settings.service}.v1.{settings.service}_pb2_grpc")
    getattr(module, f"add_{described.name}Servicer_to_server")(service, server)
    status = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    reflection.enable_server_reflection([described.full_name, reflection.SERVICE_NAME], server)
    listen(server, settings.listen, mesh.certificates)
    await server.start()
    for name in ("", described.full_name):
        await status.set(name, health_pb2.HealthCheckResponse.SERVING)
    return server, status


async def _drain(mesh: Mesh, server: grpc.aio.Server, status: Any, settings: Settings) -> None:
    await status.enter_graceful_shutdown()
    await mesh.drain()
    await server.stop(settings.drain_grace_s)
