"""The interaction matrix: every caller × every RPC, by a real call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from libs import context, errors
from libs.rpc import client, identity, policy
from libs.rpc.chain import ServerChain
from tests.support.mesh import PUBLIC_KEY, socket_address, token
from tests.support.rpcs import refusal

CALLERS = ("gateway", *policy.SERVICES)
# Who calls whom, in words of the architecture; the contracts may not say more than this.
MATRIX = {
    "run": {"gateway", "workflow", "task"},
    "workflow": {"gateway", "run"},
    "task": {"gateway", "workflow"},
    "totp": {"gateway", "run", "task"},
    "browser_session": {"gateway", "run", "workflow", "task"},
    "webhook": {"gateway"},
}


def _answering(rpc: policy.Rpc) -> grpc.RpcMethodHandler:
    empty = GetMessageClass(rpc.method.output_type)
    kinds = {
        "request_deserializer": GetMessageClass(rpc.method.input_type).FromString,
        "response_serializer": empty.SerializeToString,
    }

    async def unary(_request: Any, _context: Any) -> Any:
        return empty()

    async def stream(_request: Any, _context: Any) -> AsyncIterator[Any]:
        yield empty()

    if rpc.streaming:
        return grpc.unary_stream_rpc_method_handler(stream, **kinds)
    return grpc.unary_unary_rpc_method_handler(unary, **kinds)


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    """A server that answers every RPC of the mesh, behind the real chain."""
    server = grpc.aio.server(interceptors=[ServerChain(PUBLIC_KEY)])
    for service in policy.SERVICES:
        described = policy.service_descriptor(service)
        handlers = {r.name: _answering(r) for r in policy.rpcs().values() if r.service == service}
        handler = grpc.method_handlers_generic_handler(described.full_name, handlers)
        server.add_generic_rpc_handlers((handler,))
    address = socket_address()
    server.add_insecure_port(address)
    await server.start()
    async with client.channel(address) as opened:
        yield opened
    await server.stop(0)


async def test_every_caller_and_every_rpc(channel: grpc.aio.Channel) -> None:
    pairs = 0
    for rpc in policy.rpcs().values():
        for caller in CALLERS:
            with context.bind(organization_id="org_a"):
                metadata = client.metadata(token(caller))
            refused = await refusal(channel, rpc, metadata)
            if caller in rpc.callers:
                assert refused is None, (caller, rpc.path, refused)
            else:
                assert isinstance(refused, errors.PermissionDenied), (caller, rpc.path, refused)
                assert refused.reason == "NOT_IN_INTERACTION_MATRIX"
            pairs += 1
    assert pairs == len(CALLERS) * len(policy.rpcs()) > 300


async def test_nobody_calls_without_a_genuine_token(channel: grpc.aio.Channel) -> None:
    other_key, _ = identity.generate()
    forged = identity.mint(other_key, "gateway")
    organization = ("podium-organization", "org_a")
    for rpc in policy.rpcs().values():
        for metadata in ([organization], [organization, identity.bearer(forged)]):
            refused = await refusal(channel, rpc, metadata)
            assert isinstance(refused, errors.Unauthenticated), rpc.path


async def test_a_call_names_its_organisation_unless_it_needs_none(
    channel: grpc.aio.Channel,
) -> None:
    for rpc in policy.rpcs().values():
        refused = await refusal(channel, rpc, [identity.bearer(token(min(rpc.callers)))])
        if rpc.needs_organization:
            assert isinstance(refused, errors.Unauthenticated), rpc.path
            assert refused.reason == "NO_ORGANIZATION"
        else:
            assert refused is None


def test_the_contracts_say_no_more_than_the_architecture() -> None:
    for rpc in policy.rpcs().values():
        assert rpc.callers <= MATRIX[rpc.service], rpc.path
        assert rpc.callers, rpc.path
