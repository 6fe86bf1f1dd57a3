"""The public RPCs, as both doors see them: an RPC is public when it has an HTTP rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from google.api import annotations_pb2, http_pb2, httpbody_pb2
from google.protobuf import message, message_factory

from libs.rpc import policy

# A unary RPC whose contract allows more than this waits for something to happen (WaitRun); it does
# not keep the upstream busy, so it must not take the place of one that does.
LONGEST_BUSY_S = 60.0


@dataclass(frozen=True)
class Binding:
    """One HTTP verb and path template of an RPC."""

    verb: str  # "GET"
    template: str  # "/v1/runs/{run_id}:cancel"
    body: str  # "*" for the whole message, a field's name, or "" for none


@dataclass(frozen=True)
class Method:
    """One public RPC."""

    rpc: policy.Rpc
    bindings: tuple[Binding, ...]

    @property
    def upstream(self) -> str:
        """The service of the mesh that answers it: "run"."""
        return self.rpc.service

    @property
    def waits(self) -> bool:
        """Whether it may last long by nature, waiting rather than working."""
        limit = self.rpc.timeout_s
        return self.rpc.streaming or limit is None or limit > LONGEST_BUSY_S

    @cached_property
    def is_raw(self) -> bool:
        """Whether its answer is bytes of a media type of their own (google.api.HttpBody)."""
        answer = self.rpc.method.output_type
        return answer.full_name == httpbody_pb2.HttpBody.DESCRIPTOR.full_name

    @cached_property
    def request(self) -> type[message.Message]:
        """Class of its request."""
        return message_factory.GetMessageClass(self.rpc.method.input_type)

    @cached_property
    def response(self) -> type[message.Message]:
        """Class of its answer, or of each message of its stream."""
        return message_factory.GetMessageClass(self.rpc.method.output_type)


def public_methods() -> tuple[Method, ...]:
    """Every public RPC of every contract, in the order of the contracts."""
    every = (*policy.rpcs().values(), *policy.gateway_rpcs().values())
    return tuple(Method(rpc, tuple(_bindings(rpc))) for rpc in every if rpc.public)


def internal_methods() -> tuple[Method, ...]:
    """The RPCs that the gateway calls for itself."""
    return tuple(Method(rpc, ()) for rpc in policy.rpcs().values() if rpc.internal)


def _bindings(rpc: policy.Rpc) -> Iterator[Binding]:
    options: Any = rpc.method.GetOptions()
    rule = options.Extensions[annotations_pb2.http]
    for each in (rule, *rule.additional_bindings):
        verb = each.WhichOneof("pattern")
        if verb:
            yield _binding(each, verb)


def _binding(rule: http_pb2.HttpRule, verb: str) -> Binding:
    if verb == "custom":
        return Binding(rule.custom.kind, rule.custom.path, rule.body)
    return Binding(verb.upper(), getattr(rule, verb), rule.body)
