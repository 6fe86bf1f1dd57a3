"""The action table, its validation, and what a request may say."""

from __future__ import annotations

from typing import Any

import pytest

from libs import errors, ids
from podium.task.v1 import task_pb2 as pb
from services.task import actions, schema, wire
from services.task.domain import TERMINAL, TRANSITIONS, TaskState, may_become


def test_every_shape_is_in_the_table_under_its_own_name() -> None:
    shapes = set(schema.Step.__subclasses__())
    assert shapes == {action.shape for action in actions.ACTIONS.values()}
    for kind, action in actions.ACTIONS.items():
        assert action.shape.model_fields["kind"].default == kind
        assert action.summary


@pytest.mark.parametrize(
    ("raw", "path", "why"),
    [
        ("click", "a", "must be an object"),
        ({}, "a.kind", "is missing"),
        ({"kind": "clik"}, "a.kind", 'did you mean "click"?'),
        ({"kind": "click"}, "a.target", "required"),
        ({"kind": "click", "target": {}}, "a.target", "at least one of"),
        ({"kind": "click", "target": {"nam": "x"}}, "a.target.nam", "unknown field"),
        ({"kind": "click", "target": {"name": "x", "nth": 0}}, "a.target", "counts from 1"),
        ({"kind": "click", "target": "x", "extra": 1}, "a.extra", "unknown field"),
        ({"kind": "click", "target": "x", "timeout_ms": 0}, "a.timeout_ms", "greater than"),
        ({"kind": "goto", "url": "javascript:alert(1)"}, "a.url", "http"),
        ({"kind": "wait_for"}, "a", "exactly one of"),
        ({"kind": "wait_for", "text": "x", "seconds": 1}, "a", "exactly one of"),
        ({"kind": "download"}, "a", "either target or url"),
        ({"kind": "upload", "file_name": "../x", "content": "y"}, "a", "path"),
        ({"kind": "upload", "file_name": "x", "content_base64": "?"}, "a", "base64"),
        ({"kind": "extract", "schema": {"type": 1}}, "a.schema.type", "not a valid JSON Schema"),
        ({"kind": "extract", "schema": {"$ref": "http://x"}}, "a.schema", "$ref"),
        ({"kind": "select", "target": "x", "options": []}, "a.options", "at least 1"),
    ],
)
def test_mistakes_are_named(raw: Any, path: str, why: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        actions.parse(raw, "a")
    found = dict(caught.value.violations)
    assert path in found, found
    assert why in found[path]


def test_what_is_recorded_can_be_read_again() -> None:
    raw = {"kind": "select", "target": {"label": "Size", "nth": 2}, "option": "L"}
    action = actions.parse(raw, "a")
    again = actions.parse({"kind": "select", **actions.dump(action)}, "a")
    assert again == action


def asked(**spec: Any) -> pb.ExecuteTaskRequest:
    request = pb.ExecuteTaskRequest(request_id="k", browser_session_id=ids.new("bs"))
    for action in spec.pop("actions", []):
        request.spec.actions.add().update(action)
    if "schema" in spec:
        request.spec.extraction.schema.update(spec.pop("schema"))
    request.spec.MergeFrom(pb.TaskSpec(**spec))
    return request


@pytest.mark.parametrize(
    ("spec", "field", "why"),
    [
        ({}, "spec", "must say what to do"),
        ({"url": "file:///etc/passwd"}, "spec.url", "http"),
        ({"actions": [{"kind": "x"}, {"kind": "fill"}]}, "spec.actions[1].value", "required"),
        ({"schema": {"properties": 3}}, "spec.extraction.schema.properties", "JSON Schema"),
        ({"url": "http://x.example", "max_steps": -1}, "spec.max_steps", "0 to 200"),
        ({"url": "http://x.example", "screenshot_name": "../x"}, "spec.screenshot_name", "path"),
        ({"login": pb.Login()}, "spec.login.credential_id", "required"),
        ({"goal": "x" * 5001}, "spec.goal", "5000"),
    ],
)
def test_requests(spec: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        wire.spec_of(asked(**spec))
    found = dict(caught.value.violations)
    assert field in found, found
    assert why in found[field]


def test_whole_numbers_of_a_struct_are_integers_again() -> None:
    spec = wire.spec_of(asked(actions=[{"kind": "click", "target": "x", "timeout_ms": 500}]))
    assert spec.actions[0]["timeout_ms"] == 500
    assert isinstance(spec.actions[0]["timeout_ms"], int)


def test_a_terminal_task_never_changes() -> None:
    assert all(not TRANSITIONS[state] for state in TERMINAL)
    assert set(TRANSITIONS) == set(TaskState)
    assert may_become(TaskState.RUNNING) == [TaskState.QUEUED]
    assert set(may_become(TaskState.CANCELED)) == {TaskState.QUEUED, TaskState.RUNNING}
