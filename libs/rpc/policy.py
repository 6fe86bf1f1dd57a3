"""What the contracts say about each RPC, read from the descriptors."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.api import annotations_pb2
from google.protobuf import descriptor

from podium.common.v1 import call_pb2

SERVICES = ("run", "workflow", "task", "totp", "browser_session", "webhook")
# Answered by the gateway itself; no service of that name stands behind it.
MESH = "mesh"


@dataclass(frozen=True)
class Rpc:
    """One RPC and its policy."""

    path: str  # "/podium.run.v1.RunService/GetRun"
    service: str  # "run"
    name: str  # "GetRun"
    callers: frozenset[str]
    timeout_s: float | None  # None: no limit
    needs_organization: bool
    idempotent: bool
    public: bool  # carries a google.api.http rule
    http_status: int
    signed: bool  # proves itself by a token of its own
    internal: bool  # called by the gateway for itself
    streaming: bool
    method: descriptor.MethodDescriptor


def service_descriptor(service: str) -> descriptor.ServiceDescriptor:
    """The descriptor of a service by its one name."""
    module = importlib.import_module(f"podium.{service}.v1.{service}_pb2")
    (found,) = module.DESCRIPTOR.services_by_name.values()
    return found


def short_name(full_name: str) -> str:
    """The one name in a full one: "run" of "podium.run.v1.RunService"."""
    return full_name.split(".")[1]


@cache
def rpcs() -> dict[str, Rpc]:
    """Every RPC of the services by its path."""
    return {path: rpc for service in SERVICES for path, rpc in _of(service).items()}


@cache
def gateway_rpcs() -> dict[str, Rpc]:
    """The RPCs that the gateway answers itself, by their paths."""
    return _of(MESH)


def _of(service: str) -> dict[str, Rpc]:
    found = [_read(service, method) for method in service_descriptor(service).methods]
    return {rpc.path: rpc for rpc in found}


def _read(service: str, method: descriptor.MethodDescriptor) -> Rpc:
    # The generated types do not know which message an option holds.
    options: Any = method.GetOptions()
    call: call_pb2.CallPolicy = options.Extensions[call_pb2.call]
    return Rpc(
        path=f"/{method.containing_service.full_name}/{method.name}",
        service=service,
        name=method.name,
        callers=frozenset(call.callers),
        timeout_s=call.timeout_ms / 1000 if call.timeout_ms else None,
        needs_organization=not call.without_organization,
        idempotent=options.idempotency_level != options.IDEMPOTENCY_UNKNOWN,
        public=options.HasExtension(annotations_pb2.http),
        http_status=call.http_status or 200,
        signed=call.signed,
        internal=call.internal,
        streaming=method.server_streaming,
        method=method,
    )
