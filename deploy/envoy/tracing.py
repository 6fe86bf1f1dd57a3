"""Envoy's own spans: one for each request that it takes, and one for each time it passes it on.

They join the trace that the request's `traceparent` names, and go where our own spans go.
"""

from __future__ import annotations

from urllib.parse import urlsplit

CLUSTER = "trace-backend"
CONFIG = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"


def target(endpoint: str) -> str:
    """Where the backend listens, as "host:port"."""
    parts = urlsplit(endpoint)
    return f"{parts.hostname}:{parts.port or 80}"


def of(endpoint: str) -> dict:
    """What a listener's connection manager is told."""
    uri = {"uri": f"{endpoint.rstrip('/')}/v1/traces", "cluster": CLUSTER, "timeout": "1s"}
    settings = {"@type": CONFIG, "service_name": "envoy", "http_service": {"http_uri": uri}}
    return {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": settings},
        "spawn_upstream_span": True,
    }
