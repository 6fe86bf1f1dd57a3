"""Requests out of paths, queries and bodies: what is read, and how every fault is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog import public_methods
from gateway.rest.binding import parse_json, request_of
from gateway.rest.reading import Reader
from gateway.rest.routes import Routes
from libs import errors
from podium.run.v1 import run_pb2

ROUTES = Routes(public_methods())


def bound(verb: str, target: str, body: object = b"") -> Any:
    """The request of a target such as "/v1/runs?page_size=1"."""
    path, _, query = target.partition("?")
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request_of(ROUTES.find(verb, path), query, raw)


def faults(verb: str, target: str, body: object = b"") -> list[tuple[str, str]]:
    """What is wrong with a request."""
    with pytest.raises(errors.Invalid) as invalid:
        bound(verb, target, body)
    return invalid.value.violations


def every_kind():
    """A message with a field of each scalar kind, made for the test."""
    kinds = "double float int64 uint64 int32 bool string bytes uint32".split()
    file = descriptor_pb2.FileDescriptorProto(name="kinds.proto", package="kinds", syntax="proto3")
    message = file.message_type.add(name="Kinds")
    for number, kind in enumerate(kinds, 1):
        type_ = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind.upper()}")
        message.field.add(name=f"a_{kind}", number=number, type=type_, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("kinds.Kinds"))()


def test_a_body_with_everything_in_it():
    request = bound(
        "POST",
        "/v1/runs",
        {
            "task": {"goal": "buy milk", "actions": [{"kind": "click", "n": 1}], "max_steps": "5"},
            "parameters": {"a": [1, None, True, {"b": "c"}], "empty": {}},
            "timeout": "90.5s",
            "labels": {"team": "shop"},
            "workflow_version": 3.0,
            "idempotency_key": None,
        },
    )
    assert request.task.goal == "buy milk"
    assert request.task.max_steps == 5
    assert request.parameters["a"][3]["b"] == "c"
    assert "empty" in request.parameters
    assert (request.timeout.seconds, request.timeout.nanos) == (90, 500_000_000)
    assert dict(request.labels) == {"team": "shop"}
    assert request.workflow_version == 3


def test_camel_case_is_read_too():
    assert bound("POST", "/v1/runs", {"workflowId": "wf_1"}).workflow_id == "wf_1"


def test_an_empty_body_is_an_empty_object():
    assert bound("POST", "/v1/runs/run_1:cancel").run_id == "run_1"


@pytest.mark.parametrize(
    ("body", "field", "why"),
    [
        ({"workflow_di": "x"}, "workflow_di", "unknown field; did you mean workflow_id?"),
        ({"zzz": 1}, "zzz", "unknown field"),
        ({"workflow_id": 5}, "workflow_id", "must be a string, not a number"),
        ({"workflow_id": ["x"]}, "workflow_id", "must be a string, not a list"),
        ({"workflow_version": "seven"}, "workflow_version", 'must be an integer, not "seven"'),
        ({"workflow_version": 1.5}, "workflow_version", "must be an integer, not 1.5"),
        ({"workflow_version": True}, "workflow_version", "must be an integer, not a boolean"),
        ({"workflow_version": 2**31}, "workflow_version", "must be between"),
        ({"workflow_version": 10**300}, "workflow_version", "must be between"),
        ({"workflow_version": "9" * 5000}, "workflow_version", "must be an integer"),
        ({"timeout": "soon"}, "timeout", "must be a duration"),
        ({"timeout": 5}, "timeout", "must be a duration"),
        ({"timeout": "9999999999999999s"}, "timeout", "must be a duration"),
        ({"labels": []}, "labels", "must be an object, not a list"),
        ({"labels": {"a": 1}}, "labels.a", "must be a string, not a number"),
        ({"labels": {"a": None}}, "labels.a", "must not be null"),
        ({"parameters": "x"}, "parameters", "must be an object"),
        ({"parameters": {"a": {"b": [2**60]}}}, "parameters.a.b[0]", "too large an integer"),
        ({"task": "x"}, "task", "must be an object, not a string"),
        ({"task": {"goal": 1}}, "task.goal", "must be a string, not a number"),
        ({"task": {"actions": {}}}, "task.actions", "must be a list, not an object"),
        ({"task": {"actions": [{}, 5]}}, "task.actions[1]", "must be an object"),
        ({"task": {"actions": [None]}}, "task.actions[0]", "must not be null"),
        ({"task": {}, "workflow_id": "x"}, "workflow_id", "only one of task and workflow_id"),
        ([], "", "must be an object, not a list"),
        ("x", "", "must be an object, not a string"),
        (b"null", "", "must be an object, not null"),
    ],
)
def test_a_fault_in_the_body_names_its_field(body, field, why):
    (found,) = faults("POST", "/v1/runs", body)
    assert found[0] == field
    assert why in found[1]


def test_all_faults_are_told_at_once_but_not_without_end():
    assert len(faults("POST", "/v1/runs", {"a": 1, "b": 2, "workflow_id": 3})) == 3
    assert len(faults("POST", "/v1/runs", {f"x{n}": n for n in range(5000)})) == 20


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"workflow_id": "\xff"}', "not valid UTF-8 at byte 17"),
        (b'{"workflow_id": }', "not valid JSON"),
        (b'{"workflow_id": "x"', "line 1 column"),
        (b'{"workflow_version": NaN}', "not valid JSON"),
        (b'{"workflow_version": 1e999}', "not valid JSON"),
        (b'{"workflow_id": "\\ud800"}', "not valid JSON"),
        (b"[" * 1000 + b"]" * 1000, "nested more than 64 deep"),
        (b"[" * 100_000, "nested more than 64 deep"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nested more than 64 deep"),
    ],
)
def test_a_broken_body_says_where(body, why):
    (found,) = faults("POST", "/v1/runs", body)
    assert found[0] == ""
    assert why in found[1]


def test_wide_json_is_not_deep_json():
    assert len(parse_json(json.dumps([[{}]] * 500).encode())) == 500


def test_free_json_is_only_as_deep_as_protobuf_can_read():
    deep: object = 1
    for _ in range(40):
        deep = {"a": deep}
    ((field, why),) = faults("POST", "/v1/runs", {"parameters": deep})
    assert field.startswith("parameters.a.a")
    assert "nested too deeply" in why
    fine: object = 1
    for _ in range(24):
        fine = {"a": fine}
    request = bound("POST", "/v1/runs", {"parameters": fine})
    assert run_pb2.CreateRunRequest.FromString(request.SerializeToString()) == request


def test_query_parameters():
    request = bound(
        "GET",
        "/v1/runs?page_size=7&states=RUN_STATE_FAILED&states=5&workflow_id=a%26b&page_token=",
    )
    assert request.page_size == 7
    assert list(request.states) == [run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_COMPLETED]
    assert request.workflow_id == "a&b"
    assert bound("GET", "/v1/runs/r/wait?timeout=5s").timeout.seconds == 5
    assert bound("GET", "/v1/runs/r/watch?after_sequence=9007199254740993").after_sequence == (
        9007199254740993
    )


@pytest.mark.parametrize(
    ("target", "field", "why"),
    [
        ("/v1/runs?page_sise=1", "page_sise", "unknown query parameter; did you mean page_size?"),
        ("/v1/runs?page_size=many", "page_size", 'must be an integer, not "many"'),
        ("/v1/runs?page_size=", "page_size", "must be an integer"),
        ("/v1/runs?page_size=1&page_size=2", "page_size", "is given more than once"),
        ("/v1/runs?states=DONE", "states[0]", "must be one of RUN_STATE_CREATED"),
        ("/v1/runs?states=99", "states[0]", "must be one of"),
        ("/v1/runs?a.b=1", "a.b", "unknown query parameter"),
        ("/v1/runs/r/wait?timeout=5", "timeout", "must be a duration"),
        ("/v1/runs/r/wait?run_id=x", "run_id", "is not a query parameter here"),
        ("/v1/runs?workflow_id=%ff", "", "not valid UTF-8"),
        ("/v1/runs?" + "&".join("states=1" for _ in range(300)), "", "more than 200"),
    ],
)
def test_a_fault_in_the_query_names_its_parameter(target, field, why):
    (found,) = faults("GET", target)
    assert found[0] == field
    assert why in found[1]


def test_where_values_may_come_from():
    assert faults("POST", "/v1/runs?page_size=1", {})[0][0] == "page_size"
    assert faults("GET", "/v1/runs", {"page_size": 1})[0] == ("", "this method takes no body")
    assert faults("POST", "/v1/runs/a:cancel", {"run_id": "b"})[0][0] == "run_id"
    assert bound("POST", "/v1/runs/a:cancel", {"run_id": "a", "reason": "r"}).run_id == "a"


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("a_double", "1.5", 1.5),
        ("a_double", "-Infinity", float("-inf")),
        ("a_float", 2, 2.0),
        ("a_int64", "-9223372036854775808", -(2**63)),
        ("a_int64", 5, 5),
        ("a_uint64", str(2**64 - 1), 2**64 - 1),
        ("a_bool", True, True),
        ("a_bytes", "_-8", b"\xff\xef"),
        ("a_bytes", "/+8=", b"\xff\xef"),
    ],
)
def test_scalars(field, value, read):
    message, reader = every_kind(), Reader()
    reader.fill(message, {field: value})
    assert (reader.faults, getattr(message, field)) == ([], read)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("a_double", "NotANumber"),
        ("a_double", True),
        ("a_float", 1e300),
        ("a_int64", 2**63),
        ("a_int64", "1e3"),
        ("a_uint64", -1),
        ("a_uint32", "٣"),
        ("a_bool", "true"),
        ("a_bool", 1),
        ("a_bytes", "not base64!"),
        ("a_string", None.__class__),
    ],
)
def test_scalars_that_do_not_fit(field, value):
    message, reader = every_kind(), Reader()
    reader.fill(message, {field: value})
    assert [path for path, _ in reader.faults] == [field]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(["task", "parameters", "labels", "timeout"]), JSON_VALUES))
def test_whatever_is_sent_is_read_or_refused_by_name(payload):
    request, reader = run_pb2.CreateRunRequest(), Reader()
    reader.fill(request, payload)
    request.SerializeToString()
    assert all(why for _, why in reader.faults)


def test_null_in_free_json_stays_null():
    request = bound("POST", "/v1/runs", {"parameters": {"a": None}})
    assert request.parameters.fields["a"].null_value == struct_pb2.NULL_VALUE
    assert request.parameters.fields["a"].WhichOneof("kind") == "null_value"
