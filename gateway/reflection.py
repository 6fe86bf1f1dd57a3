"""Reflection at the edge: the contracts cut down to what is public.

`grpcurl list` and `describe` show the RPCs that can be called here, and only the messages these
need. The policy on each RPC is the mesh's own business and is left out as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from google.protobuf import descriptor, descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2

from gateway.admission import Admission
from gateway.catalog import Method
from gateway.proxy import admit, speaking
from podium.common.v1 import call_pb2

NOT_SHOWN = call_pb2.DESCRIPTOR.name


class EdgeReflection(reflection.aio.ReflectionServicer):
    """Reflection over the public contracts, for callers with a key."""

    def __init__(self, methods: Iterable[Method], admission: Admission) -> None:
        methods = tuple(methods)
        names = {method.rpc.method.containing_service.full_name for method in methods}
        super().__init__([*names, reflection.SERVICE_NAME], public_pool(methods))
        self._admission = admission

    async def ServerReflectionInfo(  # noqa: N802 - the name is gRPC's
        self, request_iterator: Any, unused_context: Any
    ) -> AsyncIterator[Any]:
        """Answer the questions of a caller that is let in."""
        async with speaking(unused_context):
            await admit(self._admission, unused_context)
        answers: Any = super().ServerReflectionInfo(request_iterator, unused_context)
        async for answer in answers:
            yield answer


def public_pool(methods: Iterable[Method]) -> descriptor_pool.DescriptorPool:
    """The files of the public RPCs, with nothing in them that no public RPC needs."""
    public = {method.rpc.method.full_name: method.rpc.method for method in methods}
    needed = _reachable(public.values())
    pool = descriptor_pool.DescriptorPool()
    done: set[str] = set()
    for method in public.values():
        _add(pool, method.containing_service.file, public.keys(), needed, done)
    _add(pool, reflection_pb2.DESCRIPTOR, public.keys(), needed, done)
    return pool


def _reachable(methods: Iterable[descriptor.MethodDescriptor]) -> set[str]:
    """Full names of every message and enum that the methods lead to."""
    found: set[str] = set()
    ahead: list[Any] = [side for each in methods for side in (each.input_type, each.output_type)]
    while ahead:
        one = ahead.pop()
        if one.full_name in found:
            continue
        found.add(one.full_name)
        for field in getattr(one, "fields", ()):
            ahead.extend(kind for kind in (field.message_type, field.enum_type) if kind)
    return found


def _add(
    pool: descriptor_pool.DescriptorPool,
    file: Any,
    methods: Iterable[str],
    needed: set[str],
    done: set[str],
) -> None:
    if file.name in done:
        return
    done.add(file.name)
    for dependency in file.dependencies:
        if dependency.name != NOT_SHOWN:
            _add(pool, dependency, methods, needed, done)
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    if file.package.startswith("podium."):
        _cut(proto, set(methods), needed)
    pool.Add(proto)


def _cut(proto: descriptor_pb2.FileDescriptorProto, methods: set[str], needed: set[str]) -> None:
    """Leave out what is not public, in place."""
    for service in proto.service:
        prefix = f"{proto.package}.{service.name}"
        kept = [rpc for rpc in service.method if f"{prefix}.{rpc.name}" in methods]
        for rpc in kept:
            options: Any = rpc.options
            options.ClearExtension(call_pb2.call)
        del service.method[:]
        service.method.extend(kept)
    _keep(proto.message_type, proto.package, needed)
    _keep(proto.enum_type, proto.package, needed)
    for message in proto.message_type:
        for field in message.field:
            options = field.options
            options.ClearExtension(call_pb2.secret)
    kept_files = [name for name in proto.dependency if name != NOT_SHOWN]
    del proto.dependency[:]
    proto.dependency.extend(kept_files)


def _keep(entries: Any, package: str, needed: set[str]) -> None:
    kept = [entry for entry in entries if f"{package}.{entry.name}" in needed]
    del entries[:]
    entries.extend(kept)
