"""Calls of any RPC by its contract alone, with an empty request."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.protobuf.message_factory import GetMessageClass

from libs import errors
from libs.rpc import policy


async def refusal(
    channel: grpc.aio.Channel, rpc: policy.Rpc, metadata: Sequence[tuple[str, str]]
) -> errors.PodiumError | None:
    """Why the call was refused; None when it was answered."""
    request = GetMessageClass(rpc.method.input_type)()
    kinds = {
        "request_serializer": type(request).SerializeToString,
        "response_deserializer": GetMessageClass(rpc.method.output_type).FromString,
    }
    try:
        if rpc.streaming:
            opened = channel.unary_stream(rpc.path, **kinds)
            async for _ in opened(request, timeout=10, metadata=metadata):
                pass
        else:
            ask = channel.unary_unary(rpc.path, **kinds)
            await ask(request, timeout=10, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return errors.from_rpc(error)
    return None
