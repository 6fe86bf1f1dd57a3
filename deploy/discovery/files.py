"""The files that Envoy watches: one for each cluster, replaced in one step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deploy.envoy.clusters import address

ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


def write(folder: Path, cluster: str, targets: Iterable[str]) -> None:
    """Makes these gRPC targets the endpoints of a cluster; Envoy sees the renaming."""
    found = [{"endpoint": {"address": address(target)}} for target in targets]
    resource = {
        "@type": ASSIGNMENT,
        "cluster_name": cluster,
        "endpoints": [{"lb_endpoints": found}],
    }
    scratch = folder / f".{cluster}.new"
    scratch.write_text(json.dumps({"resources": [resource]}))
    # Envoy is another user in a container.
    scratch.chmod(0o644)
    scratch.replace(folder / f"{cluster}.json")


def read(folder: Path) -> dict[str, list[str]]:
    """What was last written, for an agent that starts anew."""
    return {file.stem: _targets(json.loads(file.read_text())) for file in folder.glob("[!.]*.json")}


def prepare(folder: Path, clusters: Mapping[str, Iterable[str]], *, anew: bool) -> None:
    """Makes every file that Envoy will ask for; what is there stays, unless all is made anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.json"):
        if anew or file.stem not in clusters:
            file.unlink()
    for cluster, targets in clusters.items():
        if not (folder / f"{cluster}.json").exists():
            write(folder, cluster, targets)


def _targets(response: Mapping[str, Any]) -> list[str]:
    (resource,) = response["resources"]
    places = [
        each["endpoint"]["address"]
        for group in resource["endpoints"]
        for each in group["lb_endpoints"]
    ]
    return [_target(place) for place in places]


def _target(place: Mapping[str, Any]) -> str:
    if "pipe" in place:
        return f"unix:{place['pipe']['path']}"
    where = place["socket_address"]
    return f"{where['address']}:{where['port_value']}"
