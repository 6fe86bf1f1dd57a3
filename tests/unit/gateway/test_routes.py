"""Path templates: what they match, what they bind and what they refuse."""

from __future__ import annotations

import pytest

from gateway.catalog import Binding, public_methods
from gateway.rest.routes import NoRoute, Routes, compiled

METHODS = public_methods()
ROUTES = Routes(METHODS)


@pytest.mark.parametrize(
    ("verb", "path", "name", "values"),
    [
        ("GET", "/v1/runs", "ListRuns", {}),
        ("POST", "/v1/runs", "CreateRun", {}),
        ("POST", "/v1/run/workflows", "CreateRun", {}),
        ("POST", "/run/workflow", "CreateRun", {}),
        ("GET", "/v1/runs/run_1", "GetRun", {"run_id": "run_1"}),
        ("POST", "/v1/runs/run_1:cancel", "CancelRun", {"run_id": "run_1"}),
        ("GET", "/v1/runs/run_1/watch", "WatchRun", {"run_id": "run_1"}),
        ("GET", "/v1/workflows/a%3Ab%2Fc%20d", "GetWorkflow", {"workflow_id": "a:b/c d"}),
        ("GET", "/v1/workflows/%C3%BC", "GetWorkflow", {"workflow_id": "ü"}),
    ],
)
def test_a_path_finds_its_rpc(verb, path, name, values):
    match = ROUTES.find(verb, path)
    assert (match.route.method.rpc.name, match.values) == (name, values)


@pytest.mark.parametrize(
    ("verb", "path", "allowed"),
    [
        ("GET", "/v1/nothing", ()),
        ("GET", "/v1/runs/", ()),
        ("GET", "/v1/runs/a/b/c", ()),
        ("POST", "/v1/runs/a:explode", ()),
        ("GET", "/v1/runs/%ff", ()),
        ("GET", "/v1/runs/a:cancel", ("POST",)),
        ("DELETE", "/v1/runs", ("GET", "POST")),
        ("PATCH", "/v1/workflows/w", ("DELETE", "GET", "PUT")),
    ],
)
def test_no_route(verb, path, allowed):
    with pytest.raises(NoRoute) as none:
        ROUTES.find(verb, path)
    assert none.value.allowed == allowed


def test_every_binding_of_every_public_rpc_is_found_by_its_own_path():
    for method in METHODS:
        for binding in method.bindings:
            path = binding.template.replace("{", "").replace("}", "")
            assert ROUTES.find(binding.verb, path).route.method is method


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("/v1/{name=runs/*}:stop", "/v1/runs/7:stop", ("runs/7",)),
        ("/v1/{name=files/**}", "/v1/files/a/b/c", ("files/a/b/c",)),
        ("/v1/{run.run_id}/x", "/v1/7/x", ("7",)),
    ],
)
def test_longer_templates(template, path, values):
    matched = compiled(METHODS[0], Binding("GET", template, "")).pattern.fullmatch(path)
    assert matched
    assert matched.groups() == values


def test_two_rpcs_may_not_share_a_path():
    with pytest.raises(ValueError, match="share"):
        Routes((*METHODS, METHODS[0]))
