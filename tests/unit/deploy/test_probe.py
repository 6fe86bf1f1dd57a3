"""The health check of the containers asks a real server."""

import asyncio
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from deploy.probe import is_serving


@asynccontextmanager
async def served(status):
    servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]
    await servicer.set("", status)
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def ask(port):
    return await asyncio.to_thread(is_serving, "127.0.0.1", port)


async def test_a_server_that_serves_is_healthy():
    async with served(health_pb2.HealthCheckResponse.SERVING) as port:
        assert await ask(port)


async def test_one_that_drains_and_one_that_is_gone_are_not():
    async with served(health_pb2.HealthCheckResponse.NOT_SERVING) as port:
        assert not await ask(port)
    assert not await ask(port)
