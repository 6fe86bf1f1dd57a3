"""The server's interceptors, in order, in one list; the same for unary calls and streams.

Each is an async context manager around a call. An RPC that declares no policy is refused: omission
is an error, never a silent default.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
)
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_status import rpc_status

from libs import context, errors, ids, metrics
from libs.clock import Clock
from libs.rpc import identity, policy, text
from libs.rpc.peers import Peers
from libs.shedding import Shedding

log = logging.getLogger(__name__)
_CLOCK = Clock()
# Taken off an incoming deadline, so that a late answer of our own upstreams can still be reported
# by name (Boulder does the same).
SHAVED_S = 0.02
# Less than this is not worth beginning.
SHORTEST_S = 0.05


@dataclass
class Call:
    """One call as it passes the chain."""

    rpc: policy.Rpc
    grpc_context: grpc.aio.ServicerContext
    metadata: dict[str, str]
    public_key: str
    shedding: Shedding
    # Whose certificates are shown over TCP; None on a unix socket, which its folder protects.
    peers: Peers | None = None
    caller: str = field(default="")
    # The name of the gRPC status that the call ended with.
    code: str = field(default="OK")


@asynccontextmanager
async def measured(call: Call) -> AsyncIterator[None]:
    """Counts the call, and how long it took; outside of all others, so that it sees its status."""
    began = _CLOCK.monotonic()
    running = metrics.RPCS_RUNNING.labels(call.rpc.path)
    running.inc()
    try:
        yield
    except asyncio.CancelledError:
        call.code = "CANCELLED"
        raise
    finally:
        running.dec()
        metrics.answered(call.rpc.path, call.code, _CLOCK.monotonic() - began)


@asynccontextmanager
async def failure(call: Call) -> AsyncIterator[None]:
    """Turns what was raised into a google.rpc.Status; a bug becomes an error id and no text."""
    try:
        yield
    except errors.Internal as error:
        await _abort(call, _bug(call, error))
    except errors.PodiumError as error:
        await _abort(call, error)
    except grpc.aio.AbortError:
        raise
    except Exception as error:  # noqa: BLE001
        await _abort(call, _bug(call, error))


async def _abort(call: Call, error: errors.PodiumError) -> None:
    call.code = error.code.name
    status = rpc_status.to_status(errors.to_status(error))
    await call.grpc_context.abort_with_status(status)  # type: ignore[attr-defined]


def _bug(call: Call, error: Exception) -> errors.Internal:
    error_id = ids.new("err")
    log.error("%s failed (%s)", call.rpc.path, error_id, exc_info=error)
    return errors.Internal(
        f"something went wrong on our side; quote {error_id}", metadata={"error_id": error_id}
    )


@asynccontextmanager
async def room(call: Call) -> AsyncIterator[None]:
    """Refuses the call while this replica sheds load."""
    call.shedding.check()
    yield


@asynccontextmanager
async def caller(call: Call) -> AsyncIterator[None]:
    """Lets in only whom the interaction matrix names, and whose certificate says the same."""
    if call.peers:
        call.peers.check_is_envoy(call.grpc_context)
    call.caller = identity.from_metadata(call.metadata, call.public_key)
    if call.peers:
        call.peers.check_certified(call.metadata, call.caller)
    if call.caller not in call.rpc.callers:
        raise errors.PermissionDenied(
            f"{call.caller} may not call {call.rpc.service}.{call.rpc.name}",
            reason="NOT_IN_INTERACTION_MATRIX",
            metadata={"caller": call.caller, "rpc": call.rpc.path},
        )
    yield


@asynccontextmanager
async def context_of_call(call: Call) -> AsyncIterator[None]:
    """Makes the caller's context the handler's own."""
    found = context.extract(call.metadata, call.caller)
    if call.rpc.needs_organization and not found.organization_id:
        raise errors.Unauthenticated("the call names no organisation", reason="NO_ORGANIZATION")
    carried = {name: getattr(found, name) for name, _key in context.CARRIED}
    with context.bind(caller=found.caller, **carried):
        yield


@asynccontextmanager
async def deadline(call: Call) -> AsyncIterator[None]:
    """Ends the work before the caller stops listening, and refuses what cannot be done in time."""
    left = call.grpc_context.time_remaining()
    limits = [limit for limit in (left, call.rpc.timeout_s) if limit is not None]
    if not limits:
        yield
        return
    limit = min(limits)
    if limit < SHORTEST_S:
        raise _too_late(call, limit)
    try:
        async with asyncio.timeout(limit - SHAVED_S):
            yield
    except TimeoutError:
        raise _too_late(call, limit) from None


def _too_late(call: Call, limit_s: float) -> errors.DeadlineExceeded:
    return errors.DeadlineExceeded(
        f"{call.rpc.service}.{call.rpc.name} was not done within {limit_s:.3f} s",
        metadata={"rpc": call.rpc.path},
    )


Interceptor = Callable[[Call], AbstractAsyncContextManager[None]]
CHAIN: tuple[Interceptor, ...] = (measured, failure, room, caller, context_of_call, deadline)


class ServerChain(grpc.aio.ServerInterceptor):
    """Runs the chain around every RPC of the mesh; health and reflection pass by."""

    def __init__(
        self,
        public_key: str,
        chain: tuple[Interceptor, ...] = CHAIN,
        shedding: Shedding | None = None,
        peers: Peers | None = None,
    ) -> None:
        self._public_key = public_key
        self._chain = chain
        self._shedding = shedding or Shedding()
        self._peers = peers

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Wraps the handler of one call."""
        handler = await continuation(details)
        rpc = policy.rpcs().get(details.method)
        if handler is None or rpc is None:
            return handler
        metadata: dict[str, Any] = dict(details.invocation_metadata or ())
        if rpc.streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(handler.unary_stream, rpc, metadata),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(handler.unary_unary, rpc, metadata),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _call(self, rpc: policy.Rpc, grpc_context: Any, metadata: dict[str, str]) -> Call:
        return Call(rpc, grpc_context, metadata, self._public_key, self._shedding, self._peers)

    def _unary(self, handle: Any, rpc: policy.Rpc, metadata: dict[str, str]) -> Any:
        async def around(request: Any, grpc_context: grpc.aio.ServicerContext) -> Any:
            async with self._enter(self._call(rpc, grpc_context, metadata)):
                text.check(request)
                return await handle(request, grpc_context)

        return around

    def _stream(self, handle: Any, rpc: policy.Rpc, metadata: dict[str, str]) -> Any:
        # Written with context.write, not as a generator: when the client goes away gRPC leaves a
        # generator to the garbage collector, which closes it in another task's context.
        async def around(request: Any, grpc_context: grpc.aio.ServicerContext) -> None:
            async with (
                self._enter(self._call(rpc, grpc_context, metadata)),
                aclosing(handle(request, grpc_context)) as responses,
            ):
                text.check(request)
                async for response in responses:
                    await grpc_context.write(response)

        return around

    @asynccontextmanager
    async def _enter(self, call: Call) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for interceptor in self._chain:
                await stack.enter_async_context(interceptor(call))
            yield
