"""The whole configuration: listeners, clusters and admin, from a plan of addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deploy.envoy import clusters, governing, routes, tracing
from deploy.envoy.clusters import address
from deploy.envoy.methods import grpc_services
from deploy.envoy.tls import HTTP_1, HTTP_2, LONGEST_CONNECTION, Tls, certified_caller, matrix
from deploy.envoy.traffic import Traffic

GATEWAY = "gateway"
TYPE = "type.googleapis.com/envoy.extensions"
LARGEST_HTTP_BODY_BYTES = 4 * 1024 * 1024  # The gateway's own limit is lower and speaks better.


@dataclass(frozen=True)
class Plan:
    """Who listens where; every address is a gRPC target ("unix:/…", "127.0.0.1:8080", "run:50051").

    A host name is resolved again and again: it stands for all replicas of a service.
    """

    edge: str
    mesh: str
    admin: str
    services: Mapping[str, Sequence[str]]
    gateway_grpc: Sequence[str]
    gateway_http: Sequence[str]
    metrics: str = ""  # where others may read Envoy's figures; empty: nowhere
    tls: Tls | None = None  # None: nobody shows a certificate, as on sockets of one user
    endpoints: str = ""  # folder of files that say where the replicas are now; empty: as above
    traffic: Traffic = field(default_factory=Traffic)
    otlp: str = ""  # trace backend, "http://jaeger:4318"; empty: Envoy tells nobody of its spans

    def clusters(self) -> dict[str, Sequence[str]]:
        """Every cluster of replicas, with where they are at first."""
        edge = {routes.GATEWAY_GRPC: self.gateway_grpc, routes.GATEWAY_HTTP: self.gateway_http}
        canaries = {governing.canary_of(name): () for name in self.traffic.canary}
        return {**self.services, **edge, **canaries}


def build(plan: Plan) -> dict:
    """Envoy's bootstrap configuration, ready to be written as JSON."""
    methods = {name: grpc_services(name) for name in plan.services}
    listeners = [
        _listener("edge", plan.edge, _edge_manager(methods)),
        _listener(
            "mesh",
            plan.mesh,
            _mesh_manager(methods, plan.tls),
            plan.tls and plan.tls.downstream([*plan.services, GATEWAY]),
        ),
    ]
    _govern(listeners, plan)
    its_clusters = governing.clusters(_clusters(plan), plan.traffic, plan.endpoints)
    if plan.otlp:
        its_clusters.append(clusters.plain_http(tracing.CLUSTER, tracing.target(plan.otlp)))
    if plan.metrics:
        listeners.append(_listener("metrics", plan.metrics, _metrics_manager()))
        its_clusters.append(clusters.plain_http(routes.ADMIN, plan.admin))
    return {
        "node": {"id": "podium", "cluster": "podium"},
        "admin": {"address": address(plan.admin)},
        "overload_manager": _overload_manager(plan.traffic.edge.connections),
        "static_resources": {"listeners": listeners, "clusters": its_clusters},
    }


def _govern(listeners: list[dict], plan: Plan) -> None:
    """Puts the rules of the values file upon what the listeners do."""
    for listener in listeners:
        for chain in listener["filter_chains"]:
            manager = chain["filters"][0]["typed_config"]
            for host in manager["route_config"]["virtual_hosts"]:
                host["routes"] = governing.routes(host["routes"], plan.traffic, plan.endpoints)
            if plan.otlp:
                manager["tracing"] = tracing.of(plan.otlp)
            if listener["name"] == "edge":
                # Before all else: what is too much costs nobody anything.
                filters = [*governing.rate_limit(plan.traffic), *manager["http_filters"]]
                manager["http_filters"] = filters


def _clusters(plan: Plan) -> list[dict]:
    """One for each service and for each of the gateway's doors."""

    def as_(part: str, protocol: str = HTTP_2) -> dict | None:
        return plan.tls and plan.tls.upstream(part, protocol)

    return [
        *(clusters.grpc(name, targets, as_(name)) for name, targets in plan.services.items()),
        clusters.grpc(routes.GATEWAY_GRPC, plan.gateway_grpc, as_(GATEWAY)),
        clusters.http(routes.GATEWAY_HTTP, plan.gateway_http, as_(GATEWAY, HTTP_1)),
    ]


def _listener(name: str, target: str, manager: dict, transport: dict | None = None) -> dict:
    return {
        "name": name,
        "address": address(target),
        "per_connection_buffer_limit_bytes": 1_048_576,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ],
                **({"transport_socket": transport} if transport else {}),
            }
        ],
    }


def _manager(name: str, virtual_host: dict, filters: list[dict]) -> dict:
    """What both listeners' HTTP connection managers have in common."""
    # Nobody needs to hear how the mesh is built from its response headers.
    router = _filter("router", "filters.http.router.v3.Router", suppress_envoy_headers=True)
    return {
        "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "http2_protocol_options": clusters.HTTP2 | {"max_concurrent_streams": 1000},
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "normalize_path": True,
        "route_config": {"name": name, "virtual_hosts": [virtual_host]},
        "http_filters": [*filters, router],
    }


def _mesh_manager(methods: routes.Methods, tls: Tls | None) -> dict:
    host: dict = {"name": "mesh", "domains": ["*"], "routes": routes.mesh(methods)}
    filters = []
    if tls:
        every = [m for services in methods.values() for its in services.values() for m in its]
        rbac = {"name": "envoy.filters.http.rbac", "typed_config": matrix(every, tls.environment)}
        filters.append(rbac)
        host["request_headers_to_add"] = certified_caller()
    # A call's own deadline ends it; a quiet stream is a healthy one.
    manager = _manager("mesh", host, filters) | {"stream_idle_timeout": "0s"}
    if tls:
        lasts = {"max_connection_duration": LONGEST_CONNECTION}
        manager["common_http_protocol_options"] = lasts
    return manager


def _metrics_manager() -> dict:
    host = {"name": "metrics", "domains": ["*"], "routes": routes.metrics()}
    return _manager("metrics", host, [])


def _edge_manager(methods: routes.Methods) -> dict:
    host = {"name": "edge", "domains": ["*"], "routes": routes.edge(methods)}
    filters = [
        _filter(
            "header_mutation",
            "filters.http.header_mutation.v3.HeaderMutation",
            mutations={"request_mutations": [_strip("podium-"), _strip("x-envoy-")]},
        ),
        _filter(
            "buffer",
            "filters.http.buffer.v3.Buffer",
            max_request_bytes=LARGEST_HTTP_BODY_BYTES,
        ),
    ]
    return _manager("edge", host, filters) | {
        "use_remote_address": True,
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "300s",
        "max_request_headers_kb": 60,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "common_http_protocol_options": {"idle_timeout": "3600s"},
        "server_name": "podium",
        "local_reply_config": _problem_replies(),
    }


def _filter(name: str, kind: str, **fields: object) -> dict:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": {"@type": f"{TYPE}.{kind}", **fields},
    }


def _strip(prefix: str) -> dict:
    """Context is the mesh's own: nobody outside may claim an organisation or a run."""
    return {"remove_on_match": {"key_matcher": {"prefix": prefix, "ignore_case": True}}}


# What Envoy may answer on its own, in the words of gRPC; 0 stands for every other status.
PROBLEM_CODES = {
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    0: "INTERNAL",
}


def _problem_replies() -> dict:
    """What Envoy itself answers to REST looks like the gateway's JSON problem."""
    not_grpc = {
        "header_filter": {
            "header": {
                "name": "content-type",
                "string_match": {"prefix": "application/grpc"},
                "invert_match": True,
                "treat_missing_header_as_empty": True,
            }
        }
    }
    return {"mappers": [_problem(not_grpc, status) for status in PROBLEM_CODES]}


def _problem(not_grpc: dict, status: int) -> dict:
    """One status' body; the last mapper, for status 0, takes whatever is left."""
    exactly = {
        "status_code_filter": {
            "comparison": {
                "op": "EQ" if status else "GE",
                "value": {"default_value": status, "runtime_key": f"podium.problem.{status}"},
            }
        }
    }
    body = {
        "type": "about:blank",
        "title": "The edge could not pass the request on",
        "status": "%RESPONSE_CODE%",
        "code": PROBLEM_CODES[status],
        "reason": "EDGE_%RESPONSE_CODE%",
        "detail": "%LOCAL_REPLY_BODY%",
        "request_id": "%REQ(X-REQUEST-ID)%",
    }
    return {
        "filter": {"and_filter": {"filters": [not_grpc, exactly]}},
        "body_format_override": {
            "json_format": body,
            "content_type": "application/problem+json",
        },
    }


def _overload_manager(most_connections: int) -> dict:
    limit = {
        "@type": f"{TYPE}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": most_connections,
    }
    name = "envoy.resource_monitors.global_downstream_max_connections"
    return {"resource_monitors": [{"name": name, "typed_config": limit}]}
