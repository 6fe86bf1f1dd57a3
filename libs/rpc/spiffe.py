"""What each part of the mesh is called in its certificate: a SPIFFE id, and a DNS name.

    spiffe://podium/run             run.podium.internal
    spiffe://podium/staging/run     run.staging.podium.internal

The id says who somebody is, to Envoy and to every part; the name is what a gRPC client, which knows
only DNS names, holds Envoy to.
"""

from __future__ import annotations

import re

TRUST_DOMAIN = "podium"
# Parts of the mesh that are not in the matrix: the proxy between the others.
ENVOY = "envoy"
# Where Envoy tells a service whose certificate the caller has shown. The edge strips "podium-"
# from what comes from outside, and the mesh listener overwrites it.
CERTIFIED_CALLER = "podium-certified-caller"

_ENVIRONMENT = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)


def uri(part: str, environment: str = "") -> str:
    """The SPIFFE id of a part; meshes of other environments do not know it."""
    return "/".join(filter(None, (f"spiffe://{TRUST_DOMAIN}", environment, part)))


def dns_name(part: str, environment: str = "") -> str:
    """The DNS name of a part; host names know no underscore."""
    return ".".join(filter(None, (part.replace("_", "-"), environment, f"{TRUST_DOMAIN}.internal")))


def environment_of(spiffe_id: str) -> str:
    """The environment that an id was made for."""
    return spiffe_id.removeprefix(f"spiffe://{TRUST_DOMAIN}/").rpartition("/")[0]


def is_environment(name: str) -> bool:
    """Whether an environment may be called so; it is a part of host names."""
    return not name or bool(_ENVIRONMENT.fullmatch(name))
