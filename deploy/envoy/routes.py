"""Routes: which cluster gets a request, how long it may take and what may be tried again."""

from __future__ import annotations

import re
from collections.abc import Mapping

from deploy.envoy.methods import Method

GATEWAY_GRPC = "gateway-grpc"
GATEWAY_HTTP = "gateway-http"
ADMIN = "admin"

# The request never reached the service: trying elsewhere cannot run it twice.
NOT_SENT = "connect-failure,refused-stream,reset-before-request"
# Only for methods that say so in their contract: this may run a call a second time. A server that
# drains answers CANCELLED for what came in its last moment; a caller's own cancel is no answer.
EVEN_IF_SENT = f"{NOT_SENT},reset,unavailable,cancelled"
# The same at the edge: what a gateway answers was tried again behind it already.
IF_CUT_OFF = f"{NOT_SENT},reset"

NONE = "0s"
GRACE_MS = 1_000

# What speaks WebSocket at the edge: the way to a session's browser.
SOCKETS = r"/v1/browser_sessions/[^/]+/(cdp|live)"

Methods = Mapping[str, Mapping[str, list[Method]]]  # service -> gRPC service -> its methods


def mesh(methods: Methods) -> list[dict]:
    """One route for each method; what no contract knows, the service itself refuses."""
    exact: list[dict] = []
    unknown: list[dict] = []
    for service, grpc_services in methods.items():
        for full_name, its in grpc_services.items():
            exact += [_method(service, method) for method in its]
            unknown.append(_grpc({"prefix": f"/{full_name}/"}, service, limit=NONE))
    return exact + unknown


def edge(methods: Methods) -> list[dict]:
    """gRPC to the gateway's gRPC port, everything else to its HTTP port."""
    every = [m for services in methods.values() for its in services.values() for m in its]
    paths = [path for method in every if method.streams for path in method.rest_paths]
    again = [m.path for m in every if m.retriable and m.rest_paths and not m.streams]
    # Also application/grpc+proto, which Envoy's own gRPC matcher knows as well.
    grpc = [{"name": "content-type", "string_match": {"prefix": "application/grpc"}}]
    get = [{"name": ":method", "string_match": {"exact": "GET"}}]
    unbuffered = {
        "envoy.filters.http.buffer": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
            "disabled": True,  # A client may wait for an answer in the middle of its stream.
        }
    }
    # The gateway knows each method's deadline, so the edge sets none.
    by_grpc = _grpc({"prefix": "/", "headers": grpc}, GATEWAY_GRPC, limit=NONE)
    return [
        *(_grpc({"path": path, "headers": grpc}, GATEWAY_GRPC, NONE, IF_CUT_OFF) for path in again),
        by_grpc | {"typed_per_filter_config": unbuffered},
        _socket(SOCKETS) | {"typed_per_filter_config": unbuffered},
        *(_http(_template(path), idle_timeout=NONE) for path in paths),
        # A GET changes nothing: tests/architecture/test_policy.py holds the contracts to it.
        _http({"prefix": "/", "headers": get}, "330s", IF_CUT_OFF),
        _http({"prefix": "/"}, idle_timeout="330s"),
    ]


def metrics() -> list[dict]:
    """What may be seen of the admin interface from other hosts."""
    paths = {"/metrics": "/stats/prometheus?usedonly", "/ready": "/ready"}
    get = {"name": ":method", "string_match": {"exact": "GET"}}
    return [
        {
            "match": {"path": path, "headers": [get]},
            "route": {"cluster": ADMIN, "prefix_rewrite": to},
        }
        for path, to in paths.items()
    ]


def _method(service: str, method: Method) -> dict:
    retry_on = EVEN_IF_SENT if method.retriable else NOT_SENT
    # The service ends a late call itself, with a better answer; this is for one that hangs.
    limit = f"{(method.timeout_ms + GRACE_MS) / 1000}s" if method.timeout_ms else NONE
    return _grpc({"path": method.path}, service, limit, retry_on)


def _grpc(match: dict, cluster: str, limit: str, retry_on: str = NOT_SENT) -> dict:
    route = {
        "cluster": cluster,
        "timeout": NONE,
        "idle_timeout": NONE,
        # The caller's grpc-timeout, up to the limit of the method's policy.
        "max_stream_duration": {"max_stream_duration": limit, "grpc_timeout_header_max": limit},
        "retry_policy": _retry(retry_on),
    }
    return {"match": match, "route": route}


def _http(match: dict, idle_timeout: str, retry_on: str = NOT_SENT) -> dict:
    route = {
        "cluster": GATEWAY_HTTP,
        "timeout": NONE,
        "idle_timeout": idle_timeout,
        "retry_policy": _retry(retry_on),
    }
    return {"match": match, "route": route}


def _socket(path: str) -> dict:
    """A path that is upgraded to WebSocket; it may be quiet for as long as it likes."""
    route = {
        "cluster": GATEWAY_HTTP,
        "timeout": NONE,
        "idle_timeout": NONE,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
    }
    return {"match": {"safe_regex": {"regex": path}}, "route": route}


def _retry(retry_on: str) -> dict:
    previous = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "retry_on": retry_on,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": f"type.googleapis.com/{previous}"},
            }
        ],
        "host_selection_retry_max_attempts": 5,
    }


def _template(path: str) -> dict:
    """The path template of a google.api.http rule as a regular expression."""
    parts = re.split(r"(\{[^}]*\})", path)
    pattern = "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts)
    return {"safe_regex": {"regex": pattern}}
