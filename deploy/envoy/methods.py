"""What the contracts say about each RPC that matters to a proxy: callers, deadline, retries."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor, descriptor_pb2

from podium.common.v1 import call_pb2

GENERATED = Path(__file__).resolve().parent.parent.parent / "libs" / "gen"
RETRIABLE = (
    descriptor_pb2.MethodOptions.IDEMPOTENT,
    descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS,
)


@dataclass(frozen=True)
class Method:
    """One RPC, as the proxy sees it."""

    path: str  # "/podium.run.v1.RunService/GetRun"
    streams: bool
    timeout_ms: int  # the most its policy allows; 0: no limit
    retriable: bool  # running it twice does no harm
    rest_paths: tuple[str, ...]  # templates of its google.api.http rules
    callers: tuple[str, ...]  # who may call it, by name


def grpc_services(service: str) -> dict[str, list[Method]]:
    """Each gRPC service of a mesh service by its full name, with its methods."""
    found: dict[str, list[Method]] = {}
    for described in _described(service):
        found[described.full_name] = [_method(method) for method in described.methods]
    return found


def _described(service: str) -> Iterator[descriptor.ServiceDescriptor]:
    for file in sorted((GENERATED / "podium" / service / "v1").glob("*_pb2.py")):
        module = importlib.import_module(f"podium.{service}.v1.{file.stem}")
        yield from module.DESCRIPTOR.services_by_name.values()


def _method(method: descriptor.MethodDescriptor) -> Method:
    return Method(
        path=f"/{method.containing_service.full_name}/{method.name}",
        streams=method.client_streaming or method.server_streaming,
        timeout_ms=_option(method, call_pb2.call).timeout_ms,
        retriable=method.GetOptions().idempotency_level in RETRIABLE,
        rest_paths=_rest_paths(method),
        callers=tuple(sorted(_option(method, call_pb2.call).callers)),
    )


def _rest_paths(method: descriptor.MethodDescriptor) -> tuple[str, ...]:
    rule = _option(method, annotations_pb2.http)
    if not rule.WhichOneof("pattern"):
        return ()
    rules = [rule, *rule.additional_bindings]
    return tuple(getattr(each, each.WhichOneof("pattern")) for each in rules)


def _option(method: descriptor.MethodDescriptor, extension: Any) -> Any:
    """An option of ours; the generated stubs do not know what kind of message it holds."""
    return method.GetOptions().Extensions[extension]
