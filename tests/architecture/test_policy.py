"""Every RPC says who may call it and for how long; what is public is what the edge serves."""

import importlib

import pytest
from google.api import annotations_pb2

from podium.common.v1 import call_pb2
from tests.architecture import tree


def _methods():
    for file in sorted(tree.GENERATED.glob("podium/*/v1/*_pb2.py")):
        name = ".".join(file.relative_to(tree.GENERATED).with_suffix("").parts)
        module = importlib.import_module(name)
        for service in module.DESCRIPTOR.services_by_name.values():
            yield from service.methods


methods = pytest.mark.parametrize("method", list(_methods()), ids=lambda method: method.full_name)


def _policy(method):
    return method.GetOptions().Extensions[call_pb2.call]


def _is_public(method):
    return bool(method.GetOptions().Extensions[annotations_pb2.http].WhichOneof("pattern"))


@methods
def test_an_rpc_declares_its_policy(method):
    assert method.GetOptions().HasExtension(call_pb2.call), "add option (podium.common.v1.call)"


@methods
def test_callers_are_parts_of_the_mesh(method):
    parts = {folder.name for folder in (tree.ROOT / "protos" / "podium").iterdir()} - {"common"}
    callers = list(_policy(method).callers)
    assert callers, "an RPC nobody may call is dead"
    assert set(callers) <= parts | {"gateway"}
    assert len(callers) == len(set(callers))


@methods
def test_an_rpc_is_public_exactly_when_it_has_an_http_rule(method):
    policy = _policy(method)
    assert _is_public(method) == ("gateway" in policy.callers and not policy.internal)


@methods
def test_what_the_gateway_calls_for_itself_is_for_nobody_else(method):
    assert not _policy(method).internal or list(_policy(method).callers) == ["gateway"]


@methods
def test_only_streams_have_no_time_limit(method):
    streams = method.client_streaming or method.server_streaming
    assert streams or _policy(method).timeout_ms > 0


@methods
def test_a_read_says_that_it_may_be_repeated(method):
    """Envoy repeats a call that was cut off only when its contract allows it."""
    reads = method.name.startswith(("Get", "List"))
    options = method.GetOptions()
    assert not reads or options.idempotency_level == options.NO_SIDE_EFFECTS


@methods
def test_a_get_request_changes_nothing(method):
    options = method.GetOptions()
    if options.Extensions[annotations_pb2.http].WhichOneof("pattern") == "get":
        assert options.idempotency_level == options.NO_SIDE_EFFECTS
