"""The OpenAPI document and reflection say exactly what is public, and say it validly."""

from __future__ import annotations

import json

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.catalog import public_methods
from gateway.reflection import public_pool
from gateway.rest.openapi import document
from gateway.rest.routes import VARIABLE, Routes
from libs.rpc import policy

METHODS = public_methods()
ROUTES = Routes(METHODS)


@pytest.fixture(scope="module")
def openapi() -> dict:
    return json.loads(json.dumps(document(ROUTES.all)))


def test_it_is_valid(openapi):
    OpenAPIV31SpecValidator(openapi).validate()


def test_it_has_every_route_and_only_those(openapi):
    documented = {(v.upper(), p) for p, verbs in openapi["paths"].items() for v in verbs}
    served = {(r.binding.verb, VARIABLE.sub(r"{\1}", r.binding.template)) for r in ROUTES.all}
    assert documented == served


def test_descriptions_come_from_the_contracts(openapi):
    create = openapi["paths"]["/v1/runs"]["post"]
    assert create["summary"].startswith("Accepts a run and answers at once")
    assert "202" in create["responses"]
    states = openapi["components"]["schemas"]["RunState"]
    assert "Accepted and on disk." in states["description"]
    for path, verbs in openapi["paths"].items():
        for verb, operation in verbs.items():
            assert operation["description"], (verb, path)


def test_secrets_are_marked(openapi):
    schemas = openapi["components"]["schemas"]
    sent = schemas["CreateCredentialRequest"]["properties"]["totp_seed"]
    assert (sent["writeOnly"], sent["format"]) == (True, "password")
    told = schemas["CreateEndpointResponse"]["properties"]["secret"]
    assert told["format"] == "password"
    assert "writeOnly" not in told


def test_requests_refuse_unknown_fields_and_64_bits_are_strings(openapi):
    schemas = openapi["components"]["schemas"]
    assert schemas["CreateRunRequest"]["additionalProperties"] is False
    assert schemas["Run"]["properties"]["last_sequence"]["type"] == "string"
    watch = openapi["paths"]["/v1/runs/{run_id}/watch"]["get"]
    assert {p["name"] for p in watch["parameters"]} >= {"run_id", "after_sequence"}
    assert "text/event-stream" in watch["responses"]["200"]["content"]


def test_reflection_shows_the_public_rpcs_and_nothing_else():
    pool = public_pool(METHODS)
    for rpc in policy.rpcs().values():
        service = pool.FindServiceByName(rpc.method.containing_service.full_name)
        assert (rpc.name in service.methods_by_name) == rpc.public, rpc.path
    with pytest.raises(KeyError):
        pool.FindMessageTypeByName("podium.browser_session.v1.AttachSessionResponse")
    with pytest.raises(KeyError):
        pool.FindFileByName("podium/common/v1/call.proto")
