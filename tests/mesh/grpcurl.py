"""Stands in for grpcurl, which cannot be installed from a package index.

It understands the options that the README uses and makes the same calls the same way: it knows
nothing of the contracts but what the edge's reflection service tells it.
"""

from __future__ import annotations

import argparse
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)


class _WithHeaders(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self._headers = headers

    def intercept_unary_unary(self, continuation, client_call_details, request):
        return continuation(self._with(client_call_details), request)

    def intercept_unary_stream(self, continuation, client_call_details, request):
        return continuation(self._with(client_call_details), request)

    def intercept_stream_stream(self, continuation, client_call_details, request_iterator):
        return continuation(self._with(client_call_details), request_iterator)

    def _with(self, details: Any) -> Any:
        return details._replace(metadata=self._headers)


def main() -> None:
    """grpcurl -plaintext [-H name:value] [-d json] address list|describe X|service/method."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-plaintext", action="store_true", required=True)
    parser.add_argument("-H", action="append", default=[], dest="headers")
    parser.add_argument("-d", default="{}", dest="data")
    parser.add_argument("words", nargs="+")
    asked = parser.parse_args()
    address, verb, *rest = asked.words
    headers = [(n.strip(), v.strip()) for n, _, v in (h.partition(":") for h in asked.headers)]
    channel = grpc.intercept_channel(grpc.insecure_channel(address), _WithHeaders(headers))
    reflected = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(reflected)
    if verb == "list":
        print("\n".join(reflected.get_services()))
    elif verb == "describe":
        service = pool.FindServiceByName(rest[0])
        for method in service.methods:
            print(f"rpc {method.name} ( .{method.input_type.full_name} )")
    else:
        _call(channel, pool, verb, asked.data)


def _call(channel, pool: DescriptorPool, path: str, data: str) -> None:
    service, _, name = path.partition("/")
    method = pool.FindServiceByName(service).methods_by_name[name]
    request = json_format.Parse(data, GetMessageClass(method.input_type)(), descriptor_pool=pool)
    kind = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = kind(
        f"/{path}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    answer = call(request, timeout=30)
    for message in answer if method.server_streaming else [answer]:
        print(json_format.MessageToJson(message, descriptor_pool=pool))


if __name__ == "__main__":
    main()
