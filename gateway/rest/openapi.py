"""The OpenAPI 3.1 document, from the same descriptors that the door transcodes by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor

from gateway.problem import MEDIA_TYPE, STATUS, TITLES
from gateway.rest.binding import TEXTUAL
from gateway.rest.comments import comments
from gateway.rest.resume import FIELD as RESUMABLE
from gateway.rest.routes import VARIABLE, Route
from gateway.rest.schemas import Schema, Schemas

PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "code", "reason", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Stands for the reason."},
        "title": {"type": "string", "description": "The kind of problem, for people."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "code": {
            "type": "string",
            "enum": sorted({*(code.name for code in STATUS), "INTERNAL"}),
            "description": "The name of the gRPC status.",
        },
        "reason": {"type": "string", "description": "Stable upper-case word, for programs."},
        "detail": {"type": "string", "description": "This very problem, for people."},
        "request_id": {"type": "string", "description": "Also in the header x-request-id."},
        "violations": {
            "type": "array",
            "description": "The fields that are wrong.",
            "items": {
                "type": "object",
                "required": ["field", "why"],
                "properties": {"field": {"type": "string"}, "why": {"type": "string"}},
            },
        },
        "retry_after_s": {"type": "number", "description": "When to try again."},
        "error_id": {"type": "string", "description": "Finds a bug of ours in the log."},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
DESCRIPTION = """Durable browser automation. The same operations are served as gRPC.

Conventions: JSON as ProtoJSON says, with the field names below. 64-bit integers are strings.
Unknown fields are refused. Every answer carries `x-request-id`; `x-timeout-ms` gives a call less
time than its contract does. Streams are server-sent events, or lines of JSON when `Accept` is
`application/x-ndjson`."""
TIMEOUT_PARAMETER: Schema = {
    "name": "x-timeout-ms",
    "in": "header",
    "description": "Longest the call may last, in milliseconds.",
    "schema": {"type": "integer", "minimum": 1},
}
PROBLEM_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document."""
    routes = tuple(routes)
    methods = [route.method.rpc.method for route in routes]
    schemas = Schemas((m.input_type for m in methods), (m.output_type for m in methods))
    paths: dict[str, Any] = {}
    for route in routes:
        path = VARIABLE.sub(r"{\1}", route.binding.template)
        paths.setdefault(path, {})[route.binding.verb.lower()] = _operation(route, schemas)
    services = dict.fromkeys(method.containing_service for method in methods)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Podium", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"api_key": []}, {"bearer": []}],
        "tags": [
            {"name": tag(s), "description": comments().get(s.full_name, "")} for s in services
        ],
        "paths": paths,
        "components": {
            "schemas": {**dict(sorted(schemas.components.items())), "Problem": PROBLEM},
            "responses": {
                "Problem": {"description": "What went wrong.", "content": PROBLEM_CONTENT}
            },
            "securitySchemes": {
                "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def tag(service: descriptor.ServiceDescriptor) -> str:
    """The heading that the operations of a service stand under."""
    return service.full_name.split(".")[1]


def _operation(route: Route, schemas: Schemas) -> Schema:
    rpc = route.method.rpc
    text = comments().get(rpc.method.full_name, rpc.name)
    operation: Schema = {
        "operationId": _operation_id(route),
        "tags": [tag(rpc.method.containing_service)],
        "summary": _first_sentence(text),
        "description": text,
        "parameters": [*_path_parameters(route, schemas), *_query_parameters(route, schemas)],
        "responses": {
            str(rpc.http_status): _success(route, schemas),
            **{str(status): _problem(status) for status in (400, 401, 429)},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if rpc.signed:
        operation["security"] = []
    if RESUMABLE in rpc.method.input_type.fields_by_name:
        operation["parameters"].append(_last_event_id())
    operation["parameters"].append(TIMEOUT_PARAMETER)
    if route.binding.body:
        content = {"application/json": {"schema": _body_schema(route, schemas)}}
        operation["requestBody"] = {"content": content}
    return operation


def _operation_id(route: Route) -> str:
    """The RPC's name; an additional binding adds its place, since ids are unique."""
    place = route.method.bindings.index(route.binding)
    name = f"{route.method.rpc.service}.{route.method.rpc.name}"
    return f"{name}.{place + 1}" if place else name


def _first_sentence(text: str) -> str:
    sentence, stop, _ = text.partition(". ")
    return sentence + "." if stop else text


def _path_parameters(route: Route, schemas: Schemas) -> list[Schema]:
    known = route.method.rpc.method.input_type.fields_by_name
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": schemas.field(known[name]) if name in known else {"type": "string"},
        }
        for name in route.variables
    ]


def _query_parameters(route: Route, schemas: Schemas) -> list[Schema]:
    if route.binding.body == "*":
        return []
    taken = {*route.variables, route.binding.body}
    found: list[Schema] = []
    for field in route.method.rpc.method.input_type.fields:
        kind = field.message_type
        if field.name in taken or (kind is not None and kind.full_name not in TEXTUAL):
            continue
        schema = schemas.field(field)
        text = schema.pop("description", "")
        found.append({"name": field.name, "in": "query", "description": text, "schema": schema})
    return found


def _body_schema(route: Route, schemas: Schemas) -> Schema:
    described = route.method.rpc.method.input_type
    if route.binding.body != "*":
        return schemas.field(described.fields_by_name[route.binding.body])
    if route.variables:
        return schemas.message(described, without=route.variables)
    return schemas.ref(described)


def _success(route: Route, schemas: Schemas) -> Schema:
    method = route.method
    if method.is_raw:
        anything = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
        return {"description": "The bytes.", "content": anything}
    answer = method.rpc.method.output_type
    text = comments().get(answer.full_name, "The answer.")
    schema = schemas.ref(answer)
    if not method.rpc.streaming:
        return {"description": text, "content": {"application/json": {"schema": schema}}}
    events = {
        "type": "string",
        "description": "One event for each message: `id` is its sequence, `event` its type, "
        "`data` its JSON. The stream closes with an event `end`, or `error` with a problem.",
    }
    content = {
        "text/event-stream": {"schema": events},
        "application/x-ndjson": {"schema": schema},
    }
    return {"description": text, "content": content}


def _problem(status: int) -> Schema:
    return {"description": TITLES[status], "content": PROBLEM_CONTENT}


def _last_event_id() -> Schema:
    return {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "Go on after this event; browsers send it when they reconnect.",
        "schema": {"type": "string"},
    }
