"""Runs inside a container, as a part that was taken over: what comes of calls that are not its own.

python -c "$(cat intruder.py)" run:50051
"""

import asyncio
import json
import sys

import grpc

from libs import errors
from libs.rpc import client, identity, policy, spiffe
from libs.rpc.certificates import Certificates
from libs.settings import load

GET_RUN = "/podium.run.v1.RunService/GetRun"


async def tried(channel: grpc.aio.Channel, token: str) -> str:
    """The reason for which a call is refused."""
    async with channel:
        claimed = (spiffe.CERTIFIED_CALLER, spiffe.uri(min(policy.rpcs()[GET_RUN].callers)))
        try:
            call = channel.unary_unary(GET_RUN)
            await call(b"", timeout=10, metadata=(identity.bearer(token), claimed))
        except grpc.aio.AioRpcError as error:
            return errors.from_rpc(error).reason
    return "nothing"


async def main(service: str) -> None:
    """Try it through Envoy, past Envoy, and without a certificate."""
    settings = load()
    certificates = Certificates.of(settings)
    assert certificates is not None
    straight = grpc.aio.secure_channel(
        service,
        certificates.current().channel_credentials(),
        [("grpc.ssl_target_name_override", spiffe.dns_name("run"))],
    )
    nameless = grpc.aio.insecure_channel(settings.mesh_address)
    ways = {
        "through envoy": client.channel(settings.mesh_address, certificates),
        "past envoy": straight,
        "without a certificate": nameless,
    }
    token = settings.service_token
    print(json.dumps({name: await tried(way, token) for name, way in ways.items()}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
