"""The gRPC door: exactly the public RPCs, bytes passed on, the same rules as REST."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf import message
from grpc_status import rpc_status

from gateway.admission import Admission
from gateway.catalog import Method
from gateway.problem import bug
from gateway.upstreams import Upstreams
from libs import context, errors

log = logging.getLogger(__name__)

# Typed loosely: the stubs of grpc lack what is there, such as abort_with_status.
GrpcContext = Any


class PublicRpcs(grpc.GenericRpcHandler):
    """Finds the handler of a public RPC; any other is as unknown here as a misspelt one."""

    def __init__(
        self, methods: tuple[Method, ...], admission: Admission, upstreams: Upstreams
    ) -> None:
        self._admission = admission
        self._upstreams = upstreams
        self._handlers = {
            method.rpc.path: self._stream(method) if method.rpc.streaming else self._unary(method)
            for method in methods
        }

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """The handler of an RPC, or None."""
        return self._handlers.get(details.method)

    def _unary(self, method: Method) -> Any:
        async def handle(request: bytes, grpc_context: GrpcContext) -> bytes | None:
            async with speaking(grpc_context):
                await self._enter(method, request, grpc_context)
                left_s = grpc_context.time_remaining()
                answer = await self._upstreams.ask(method, request, left_s)
                await name_request(grpc_context)
                return answer

        return grpc.unary_unary_rpc_method_handler(handle)

    def _stream(self, method: Method) -> Any:
        async def handle(request: bytes, grpc_context: GrpcContext) -> AsyncIterator[bytes]:
            async with speaking(grpc_context):
                await self._enter(method, request, grpc_context)
                await name_request(grpc_context)
                left_s = grpc_context.time_remaining()
                async with self._upstreams.stream(method, request, left_s) as stream:
                    while (piece := await stream.next()) is not None:
                        yield piece

        return grpc.unary_stream_rpc_method_handler(handle)

    async def _enter(self, method: Method, request: bytes, grpc_context: GrpcContext) -> None:
        await admit(self._admission, grpc_context)
        try:
            method.request.FromString(request)
        except message.DecodeError:
            # Passed on, it would come back as a fault of the upstream.
            why = f"is not a readable {method.rpc.method.input_type.name}, or nested too deeply"
            raise errors.Invalid("", f"the message {why}") from None


async def admit(admission: Admission, grpc_context: GrpcContext) -> None:
    """Let the call in, or raise why not."""
    headers = {
        key: value
        for key, value in grpc_context.invocation_metadata() or ()
        if isinstance(value, str)
    }
    admission.begin(headers)
    admission.check_peer(grpc_context)
    await admission.admit(headers)


async def name_request(grpc_context: GrpcContext) -> None:
    """Begins the answer, with the request's id.

    Not before there is one: an answer that has begun cannot be tried again elsewhere.
    """
    request_id = context.current().request_id
    await grpc_context.send_initial_metadata((("x-request-id", request_id),))


@asynccontextmanager
async def speaking(grpc_context: GrpcContext) -> AsyncIterator[None]:
    """What is raised inside the block is told as a google.rpc.Status."""
    try:
        yield
    except errors.PodiumError as error:
        await _abort(grpc_context, error)
    except grpc.aio.AbortError:
        raise
    except Exception:
        nameless = bug()
        log.exception("the edge failed (%s)", nameless.metadata["error_id"])
        await _abort(grpc_context, nameless)


async def _abort(grpc_context: GrpcContext, error: errors.PodiumError) -> None:
    with contextlib.suppress(grpc.aio.UsageError):  # It has begun already.
        await name_request(grpc_context)
    await grpc_context.abort_with_status(rpc_status.to_status(errors.to_status(error)))
