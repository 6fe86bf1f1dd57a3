"""Clusters: the replicas of one service, how Envoy balances over them and whom it leaves out."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

HTTP2 = {
    "initial_stream_window_size": 1_048_576,
    "initial_connection_window_size": 4_194_304,
    "connection_keepalive": {"interval": "30s", "timeout": "10s"},
}

# Between hosts a connection can be cut without a word: what is answered to nothing for this long is
# given up, and what may run twice is tried elsewhere.
KEEPALIVE = {"interval": "2s", "timeout": "3s"}
TCP_KEEPALIVE = {"keepalive_probes": 3, "keepalive_time": 3, "keepalive_interval": 1}
TCP_USER_TIMEOUT = {"level": 6, "name": 18, "int_value": 6_000, "state": "STATE_PREBIND"}

# What the values file says besides is put upon it in deploy/envoy/governing.py.
HEALTH_CHECK = {"interval_jitter": "0.1s", "unhealthy_edge_interval": "0.5s"}


def grpc(name: str, targets: Sequence[str], transport: dict | None = None) -> dict:
    """A cluster of gRPC servers that answer grpc.health.v1."""
    health = HEALTH_CHECK | {"grpc_health_check": {}}
    named = any(_is_name(target) for target in targets)
    http2 = HTTP2 | ({"connection_keepalive": KEEPALIVE} if named else {})
    protocol = {"explicit_http_config": {"http2_protocol_options": http2}}
    return _cluster(name, targets, protocol, health, transport)


def http(name: str, targets: Sequence[str], transport: dict | None = None) -> dict:
    """A cluster of HTTP/1.1 servers that answer GET /healthz."""
    health = HEALTH_CHECK | {"http_health_check": {"path": "/healthz", "host": "gateway"}}
    protocol = {"explicit_http_config": {"http_protocol_options": {}}}
    return _cluster(name, targets, protocol, health, transport)


def address(target: str) -> dict:
    """A gRPC target as an Envoy address."""
    scheme, _, path = target.partition(":")
    if scheme == "unix":
        return {"pipe": {"path": path, "mode": 0o600}}
    host, _, port = target.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def plain_http(name: str, target: str) -> dict:
    """A cluster of one HTTP/1.1 server whose health is nobody's concern."""
    return {
        "name": name,
        **_discovery([target]),
        "connect_timeout": "1s",
        "load_assignment": _endpoints(name, [target]),
    }


def _cluster(
    name: str, targets: Sequence[str], protocol: dict, health: dict, transport: dict | None
) -> dict:
    return {
        "name": name,
        **({"transport_socket": transport} if transport else {}),
        **_discovery(targets),
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": _endpoints(name, targets),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/"
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": "300s"},
                **protocol,
            }
        },
        "common_lb_config": {
            # Never call replicas that are known to be down, even when all of them are.
            "healthy_panic_threshold": {"value": 0},
            # The default batches health changes for a second.
            "update_merge_window": "0s",
        },
        "health_checks": [health],
        "outlier_detection": _outlier_detection(),
    }


def _endpoints(name: str, targets: Sequence[str]) -> dict:
    endpoints = [{"endpoint": {"address": address(target)}} for target in targets]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}


def _discovery(targets: Sequence[str]) -> dict:
    """Addresses are taken as they are; a name stands for every replica that it resolves to."""
    if not any(_is_name(target) for target in targets):
        return {"type": "STATIC"}
    kind = "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster"
    settings = {
        "@type": kind,
        "dns_refresh_rate": "1s",
        "dns_failure_refresh_rate": {"base_interval": "0.5s", "max_interval": "1s"},
        "respect_dns_ttl": False,
        "dns_lookup_family": "V4_PREFERRED",
        # One host for each record, not one for all.
        "all_addresses_in_single_endpoint": False,
    }
    return {
        "cluster_type": {"name": "envoy.clusters.dns", "typed_config": settings},
        # A replica whose name is gone is gone, even while it still passes its check.
        "ignore_health_on_host_removal": True,
        "upstream_connection_options": {"tcp_keepalive": TCP_KEEPALIVE},
        "upstream_bind_config": {"socket_options": [TCP_USER_TIMEOUT]},
    }


def _is_name(target: str) -> bool:
    if target.startswith("unix:"):
        return False
    try:
        ipaddress.ip_address(target.rpartition(":")[0].strip("[]"))
    except ValueError:
        return True
    return False


def _outlier_detection() -> dict:
    """Eject a replica that refuses connections long before the health check notices."""
    return {
        "split_external_local_origin_errors": True,
        "enforcing_consecutive_local_origin_failure": 100,
        # Answers of the service itself are its clients' business (breakers, retries), not a
        # reason to send its calls elsewhere.
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
    }
