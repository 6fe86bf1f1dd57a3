"""The values file's rules put upon clusters and routes: limits, ejection, retries, canaries.

A canary is a cluster of its own. What leads to it is a cluster that stands for both, the canary
first: while no canary answers, the stable replicas do.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from deploy.envoy.traffic import Canary, Traffic

TYPE = "type.googleapis.com/envoy.extensions"
# The gateway hands on what the client's "x-podium-canary" asked for.
CANARY_HEADER = "podium-canary"
WHOLE = 10_000


def canary_of(service: str) -> str:
    """The cluster of a service's canaries."""
    return f"{service}-canary"


def canary_first(service: str) -> str:
    """The cluster that stands for the canaries, and for the others while there are none."""
    return f"{service}-canary-first"


def clusters(made: Sequence[dict], rules: Traffic, watched: str) -> list[dict]:
    """The clusters under the rules, with those of canaries.

    `watched` is the folder whose files say where the replicas are now; empty: as they were made.
    """
    found = [_ruled(cluster, rules) for cluster in made]
    if not watched:
        return found
    canaries = [
        copy.deepcopy(cluster) | {"name": canary_of(cluster["name"])}
        for cluster in found
        if cluster["name"] in rules.canary
    ]
    both = [_canary_first(service) for service in rules.canary]
    return [*(_watched(cluster, watched) for cluster in (*found, *canaries)), *both]


def routes(made: Sequence[dict], rules: Traffic, watched: str = "") -> list[dict]:
    """The routes under the rules: how often is tried again, and what goes to canaries."""
    found = []
    for route in made:
        policy = route["route"].get("retry_policy")
        if policy:
            policy["num_retries"] = rules.retries.times
            policy["retry_back_off"] = {
                "base_interval": f"{rules.retries.back_off_ms / 1000}s",
                "max_interval": f"{rules.retries.longest_back_off_ms / 1000}s",
            }
        canary = rules.canary.get(route["route"]["cluster"]) if watched else None
        found += _split(route, canary) if canary else [route]
    return found


def rate_limit(rules: Traffic) -> list[dict]:
    """The edge's filter that refuses what is too much, if there is a limit."""
    rate, always = rules.edge.rate_per_s, {"numerator": 100, "denominator": "HUNDRED"}
    if not rate:
        return []
    # Tokens come in tenths of a second, or one by one where that is seldom.
    filled, every_s = (round(rate / 10), 0.1) if rate >= 10 else (1, 1 / rate)
    bucket = {"max_tokens": max(rules.edge.burst, filled), "tokens_per_fill": filled}
    settings = {
        "@type": f"{TYPE}.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "edge",
        "token_bucket": bucket | {"fill_interval": f"{every_s:.3f}s"},
        "filter_enabled": {"default_value": always, "runtime_key": "podium.rate.enabled"},
        "filter_enforced": {"default_value": always, "runtime_key": "podium.rate.enforced"},
        # A gRPC client would take UNAVAILABLE, the default, for leave to try again at once.
        "rate_limited_as_resource_exhausted": True,
        "response_headers_to_add": [
            {"header": {"key": "retry-after", "value": "1"}, "append_action": "ADD_IF_ABSENT"}
        ],
    }
    return [{"name": "envoy.filters.http.local_ratelimit", "typed_config": settings}]


def _ruled(cluster: Mapping, rules: Traffic) -> dict:
    outliers, retries, limits = rules.outliers, rules.retries, rules.limits
    ejection = {
        **cluster["outlier_detection"],
        "consecutive_local_origin_failure": outliers.refused_in_a_row,
        "interval": f"{outliers.look_every_s}s",
        "base_ejection_time": f"{outliers.ejected_s}s",
        "max_ejection_time": f"{outliers.longest_ejected_s}s",
        "max_ejection_percent": outliers.most_percent,
    }
    threshold = {
        "max_connections": limits.connections,
        "max_pending_requests": limits.pending,
        "max_requests": limits.requests,
        "retry_budget": {
            "budget_percent": {"value": retries.budget_percent},
            "min_retry_concurrency": retries.least_in_flight,
        },
        "track_remaining": True,
    }
    return {
        **cluster,
        "connect_timeout": f"{rules.connect_timeout_s}s",
        "health_checks": [_checked(check, rules) for check in cluster["health_checks"]],
        "outlier_detection": ejection,
        "circuit_breakers": {"thresholds": [threshold]},
    }


def _checked(check: Mapping, rules: Traffic) -> dict:
    health = rules.health
    return {
        **check,
        "interval": f"{health.interval_s}s",
        "timeout": f"{health.timeout_s}s",
        "no_traffic_interval": f"{health.interval_s}s",
        # A replica that is starting is looked at often: this is most of a restart's waiting time.
        "no_traffic_healthy_interval": f"{health.interval_s}s",
        "unhealthy_interval": f"{health.unhealthy_interval_s}s",
        "unhealthy_threshold": health.unhealthy_after,
        "healthy_threshold": health.healthy_after,
    }


def _watched(cluster: Mapping, folder: str) -> dict:
    """The cluster with its endpoints from a file that is replaced when they change."""
    kept = {k: v for k, v in cluster.items() if k not in ("cluster_type", "load_assignment")}
    name = cluster["name"]
    source = {"path": f"{folder}/{name}.json", "watched_directory": {"path": folder}}
    config = {"resource_api_version": "V3", "path_config_source": source}
    return {
        **kept,
        "type": "EDS",
        "eds_cluster_config": {"service_name": name, "eds_config": config},
        # A replica that is gone from the file is gone, even while it still passes its check.
        "ignore_health_on_host_removal": True,
    }


def _canary_first(service: str) -> dict:
    settings = {
        "@type": f"{TYPE}.clusters.aggregate.v3.ClusterConfig",
        "clusters": [canary_of(service), service],
    }
    return {
        "name": canary_first(service),
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": settings},
    }


def _split(route: Mapping, canary: Canary) -> list[dict]:
    """A route to a service with a canary: who asks for it, and a share of all others."""
    service = route["route"]["cluster"]
    found = []
    if canary.header:
        asks = {"name": CANARY_HEADER, "string_match": {"exact": "1"}}
        match = route["match"] | {"headers": [*route["match"].get("headers", ()), asks]}
        led = route["route"] | {"cluster": canary_first(service)}
        found.append({**route, "match": match, "route": led})
    share = round(canary.percent * WHOLE / 100)
    rest = {k: v for k, v in route["route"].items() if k != "cluster"}
    weights = [
        {"name": service, "weight": WHOLE - share},
        {"name": canary_first(service), "weight": share},
    ]
    return [*found, {**route, "route": {**rest, "weighted_clusters": {"clusters": weights}}}]
