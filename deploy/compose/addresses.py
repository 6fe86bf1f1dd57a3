"""Who listens where in a network that resolves names: the same for compose and for Kubernetes.

A name stands for all replicas of its service; Envoy asks for their addresses every second, unless
deploy/traffic.yaml says that it finds them by the registry.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploy.envoy import config, traffic
from deploy.envoy.tls import Tls
from libs.settings import environment

GRPC_PORT = 50051
GATEWAY_HTTP_PORT = 8081
EDGE_PORT = 8080
MESH_PORT = 10000
METRICS_PORT = 9902  # Envoy's; those of the parts are at 9903.
ENVOY_CONFIG = "/etc/envoy"
# Envoy's own certificate in its container: beside the secrets, or mounted as a Secret.
TLS = Tls("/secrets/tls", ENVOY_CONFIG)
ADMIN = "127.0.0.1:9901"  # Whoever reaches it can end Envoy, so nobody outside its container does.
ENDPOINTS = "/endpoints"  # shared by Envoy and the agent beside it


def plan(
    services: Sequence[str],
    prefix: str = "",
    tls: Tls = TLS,
    rules: traffic.Traffic | None = None,
) -> config.Plan:
    """Envoy's plan; `prefix` goes before the names of the services ("podium-")."""
    rules = rules or traffic.load()

    def named(service: str) -> str:
        # Host names know no underscore.
        return prefix + service.replace("_", "-")

    return config.Plan(
        edge=f"0.0.0.0:{EDGE_PORT}",
        mesh=f"0.0.0.0:{MESH_PORT}",
        admin=ADMIN,
        tls=tls,
        metrics=f"0.0.0.0:{METRICS_PORT}",
        services={name: [f"{named(name)}:{GRPC_PORT}"] for name in services},
        gateway_grpc=[f"{named('gateway')}:{GRPC_PORT}"],
        gateway_http=[f"{named('gateway')}:{GATEWAY_HTTP_PORT}"],
        endpoints=ENDPOINTS if rules.discovery == traffic.REGISTRY else "",
        traffic=rules,
        otlp=environment("PODIUM_OTLP_ENDPOINT"),
    )
