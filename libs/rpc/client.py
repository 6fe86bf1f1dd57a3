"""Calling another service: its stub with the client's chain around every RPC.

The chain adds who we are, the context and a deadline, and raises the callee's own error. Envoy does
the load balancing and the safe retries; nothing is retried here.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc
from opentelemetry.instrumentation.grpc import aio_client_interceptors

from libs import context, errors
from libs.rpc import identity, policy, spiffe
from libs.rpc.certificates import Certificates, is_local
from libs.rpc.renewed import RenewedChannel

Stub = TypeVar("Stub")
# Streams and long answers stay small: files travel as artifacts.
LARGEST_MESSAGE_BYTES = 4 * 1024 * 1024
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
    ("grpc.max_send_message_length", LARGEST_MESSAGE_BYTES),
    # One layer retries, and that is Envoy.
    ("grpc.enable_retries", 0),
    # A unix socket has no host name; Envoy wants one all the same.
    ("grpc.default_authority", "podium.local"),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class CancelTravels(grpc.aio.UnaryUnaryClientInterceptor):
    """Awaits the answer next to the wire, so that a cancelled caller cancels the call.

    The tracing interceptor awaits the call's code, and cancelling that leaves the call running.
    """

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Answers the finished call; its error is raised to whoever awaits it next."""
        call = await continuation(client_call_details, request)
        with contextlib.suppress(grpc.aio.AioRpcError):
            await call
        return call


def channel(address: str, certificates: Certificates | None = None) -> grpc.aio.Channel:
    """A channel with tracing; close it when done.

    Over TCP it is mutual TLS if there are certificates, and whoever answers must be Envoy.
    """
    if certificates is None or is_local(address):
        return grpc.aio.insecure_channel(
            address, options=CHANNEL_OPTIONS, interceptors=_interceptors()
        )
    envoy = spiffe.dns_name(spiffe.ENVOY, certificates.environment)
    options = [*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", envoy)]

    def opened(credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(
            address, credentials, options=options, interceptors=_interceptors()
        )

    return RenewedChannel(certificates, opened)


def _interceptors() -> list[grpc.aio.ClientInterceptor]:
    return [*aio_client_interceptors(), CancelTravels()]


def stub(stub_class: type[Stub], to: grpc.aio.Channel, token: str) -> Stub:
    """The stub of a service; each RPC takes (request, timeout=…) and raises libs.errors words."""
    made = stub_class(to)  # type: ignore[call-arg]
    # "podium.run.v1.run_pb2_grpc" → "run".
    service = policy.short_name(stub_class.__module__)
    for method in policy.service_descriptor(service).methods:
        rpc = policy.rpcs()[f"/{method.containing_service.full_name}/{method.name}"]
        bare = getattr(made, method.name)
        wrapped = _stream(bare, rpc, token) if rpc.streaming else _unary(bare, rpc, token)
        setattr(made, method.name, wrapped)
    return made


def metadata(token: str) -> list[tuple[str, str]]:
    """What every call of ours carries."""
    return [identity.bearer(token), *context.inject()]


def _unary(bare: Any, rpc: policy.Rpc, token: str) -> Any:
    async def call(request: Any, timeout: float | None = None) -> Any:
        try:
            return await bare(request, timeout=timeout or rpc.timeout_s, metadata=metadata(token))
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from None

    return call


def _stream(bare: Any, rpc: policy.Rpc, token: str) -> Any:
    async def call(request: Any, timeout: float | None = None) -> AsyncIterator[Any]:
        opened = bare(request, timeout=timeout or rpc.timeout_s, metadata=metadata(token))
        try:
            async for response in opened:
                yield response
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc(error) from None
        finally:
            opened.cancel()

    return call
