"""gRPC at the edge: the public RPCs with reflection and health, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway.catalog import public_methods
from libs import errors
from libs.rpc import policy
from podium.run.v1 import run_pb2, run_pb2_grpc
from tests.support.eventually import eventually


@pytest.fixture
def stub(front):
    return run_pb2_grpc.RunServiceStub(front.channel)


@pytest.fixture
def auth(front):
    return [("x-api-key", front.key)]


async def test_a_call_and_its_request_id(front, stub, auth):
    call = stub.GetRun(
        run_pb2.GetRunRequest(run_id="run_1"),
        metadata=[*auth, ("x-request-id", "mine"), ("podium-organization", "org_x")],
    )
    assert (await call).run.run_id == "run_1"
    assert dict(await call.initial_metadata())["x-request-id"] == "mine"
    assert front.runs.contexts[0].organization_id not in ("", "org_x")


async def test_an_answer_begins_when_there_is_one(front, stub, auth):
    """What has begun cannot be tried again elsewhere when this gateway dies."""
    call = stub.GetRun(run_pb2.GetRunRequest(run_id="hold"), metadata=auth)
    begun = asyncio.ensure_future(call.initial_metadata())
    await eventually(lambda: front.runs.requests)
    assert not begun.done()
    front.runs.hold.set()
    assert (await call).run.run_id == "hold"
    assert "x-request-id" in dict(await begun)


async def test_a_refusal_names_its_request_too(stub, auth):
    call = stub.GetRun(run_pb2.GetRunRequest(run_id="missing"), metadata=auth)
    with pytest.raises(grpc.aio.AioRpcError):
        await call
    assert "x-request-id" in dict(await call.initial_metadata())


async def test_a_bearer_token_opens_the_door_too(front, stub):
    metadata = [("authorization", f"Bearer {front.key}")]
    assert await stub.ListRuns(run_pb2.ListRunsRequest(), metadata=metadata)


async def test_a_stream(stub, auth):
    call = stub.WatchRun(run_pb2.WatchRunRequest(run_id="r", after_sequence=1), metadata=auth)
    assert [message.event.sequence async for message in call] == [2, 3]


async def test_errors_arrive_as_themselves(stub, auth):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.GetRun(run_pb2.GetRunRequest(run_id="busy"), metadata=auth)
    word = errors.from_rpc(failed.value)
    assert isinstance(word, errors.Exhausted)
    assert (word.message, word.retry_after_s) == ("no room", 2.5)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        stream = stub.WatchRun(run_pb2.WatchRunRequest(run_id="breaks"), metadata=auth)
        assert len([message async for message in stream]) == 3
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_deadline_of_the_client_ends_a_hanging_call(stub, auth):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.GetRun(run_pb2.GetRunRequest(run_id="hang"), metadata=auth, timeout=0.3)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_message_that_cannot_be_read_is_the_callers_fault(front, auth):
    call = front.channel.unary_unary("/podium.run.v1.RunService/GetRun")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(b"\xff\xff\xff", metadata=auth)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(b"\n" + b"x" * 2_000_000, metadata=auth)
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert front.runs.requests == []
    assert front.gateway.upstreams.guards["run"].breaker.failures == 0


@pytest.mark.parametrize("rpc", [rpc for rpc in policy.rpcs().values() if not rpc.public])
async def test_internal_rpcs_are_not_there(front, auth, rpc):
    kind = front.channel.unary_stream if rpc.streaming else front.channel.unary_unary
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        call = kind(rpc.path)(b"", metadata=auth)
        if rpc.streaming:
            await call.read()
        else:
            await call
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def reflect(front, metadata, **question):
    """The answer to one question of reflection."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(front.channel)
    call = stub.ServerReflectionInfo(metadata=metadata)
    await call.write(reflection_pb2.ServerReflectionRequest(**question))
    await call.done_writing()
    answer = await call.read()
    assert isinstance(answer, reflection_pb2.ServerReflectionResponse), await call.code()
    return answer


async def test_reflection_lists_and_describes_what_is_public(front, auth):
    listed = await reflect(front, auth, list_services="")
    names = {service.name for service in listed.list_services_response.service}
    public = [method.rpc for method in public_methods()]
    expected = {r.method.containing_service.full_name for r in public}
    assert names == expected | {"grpc.reflection.v1alpha.ServerReflection"}
    symbol = "podium.browser_session.v1.BrowserSessionService"
    described = await reflect(front, auth, file_containing_symbol=symbol)
    files = b"".join(described.file_descriptor_response.file_descriptor_proto)
    assert b"CreateSession" in files
    assert b"AttachSession" not in files


async def test_reflection_needs_a_key(front):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await reflect(front, [], list_services="")
    assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_health_needs_none(front):
    stub: Any = health_pb2_grpc.HealthStub(front.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
