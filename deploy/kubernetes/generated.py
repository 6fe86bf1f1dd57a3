"""The chart's generated files: the parts with who calls whom, and Envoy's configuration.

Both come from the contracts (`callers` of each RPC) and from the folders of the services, so that a
policy of the cluster cannot say anything else than the interceptors and the local mesh do.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import yaml

from deploy import layout
from deploy.compose import addresses
from deploy.envoy import config, tls
from libs.rpc import policy

FILES = layout.ROOT / "deploy" / "chart" / "files"
ALERTS = layout.ROOT / "deploy" / "compose" / "prometheus" / "alerts.yml"
GATEWAY = "gateway"
# Stands for the release's name, which only the rendering knows.
PREFIX = "RELEASE-"
# Where the Secret with Envoy's certificate is mounted.
TLS = tls.Tls("/tls", addresses.ENVOY_CONFIG)
# Parts that speak with places that a tenant names, or with a language model.
OUTGOING = frozenset({"browser_session", "task", "webhook", "workflow"})
# Who connects to a browser's CDP gateway: the task that drives it, the gateway for links, and any
# replica for a picture.
DRIVERS = ("task", "gateway", "browser_session")


def texts() -> dict[str, str]:
    """Each generated file by its name."""
    envoy = config.build(addresses.plan(layout.services(), PREFIX, TLS))
    head = "# Made by `make gen` from protos/ and services/; change those.\n"
    parts = yaml.safe_dump(_parts(), sort_keys=False, width=90)
    told = {"envoy.json": envoy, **tls.secrets(TLS)}
    return {
        "parts.yaml": head + parts,
        "alerts.yaml": ALERTS.read_text(),
        **{name: json.dumps(content, indent=1) + "\n" for name, content in told.items()},
    }


def write() -> None:
    """Write them all."""
    for name, text in texts().items():
        (FILES / name).write_text(text)


def stale() -> list[str]:
    """The files that are not what the contracts say today."""
    return [
        name
        for name, text in texts().items()
        if not (FILES / name).exists() or (FILES / name).read_text() != text
    ]


def _parts() -> dict[str, dict]:
    calls: dict[str, set[str]] = defaultdict(set)
    for rpc in policy.rpcs().values():
        for caller in rpc.callers:
            calls[caller].add(rpc.service)
    return {
        # Kubernetes' names know no underscore.
        name.replace("_", "-"): {
            "module": GATEWAY if name == GATEWAY else f"services.{name}",
            "calls": sorted(calls[name]),
            "calledBy": sorted(caller for caller, its in calls.items() if name in its),
            "reachesOutside": name in OUTGOING,
            **({"drivenBy": _dashed(DRIVERS)} if name == "browser_session" else {}),
        }
        for name in [GATEWAY, *layout.services()]
    }


def _dashed(names: tuple[str, ...]) -> list[str]:
    return [name.replace("_", "-") for name in names]


def chart() -> Path:
    """The chart's folder."""
    return FILES.parent
