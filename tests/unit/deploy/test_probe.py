"""The health check of the containers asks a real server."""

import asyncio
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from deploy.certs.issuer import Issuer
from deploy.probe import is_serving
from libs.rpc.certificates import Certificates


@asynccontextmanager
async def served(status, certificates=None):
    servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]
    await servicer.set("", status)
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if certificates:
        port = server.add_secure_port("127.0.0.1:0", certificates.server_credentials())
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def ask(port, *folder):
    return await asyncio.to_thread(is_serving, "127.0.0.1", port, *map(str, folder))


async def test_a_server_that_serves_is_healthy():
    async with served(health_pb2.HealthCheckResponse.SERVING) as port:
        assert await ask(port)


async def test_one_that_drains_and_one_that_is_gone_are_not():
    async with served(health_pb2.HealthCheckResponse.NOT_SERVING) as port:
        assert not await ask(port)
    assert not await ask(port)


async def test_over_tls_a_part_asks_itself_by_its_own_certificate(tmp_path):
    made = Issuer.of(tmp_path)
    made.issue_due()
    folder = made.folders["run"]
    async with served(health_pb2.HealthCheckResponse.SERVING, Certificates(folder)) as port:
        assert await ask(port, folder)
        assert not await ask(port)
