"""Questions to a running Envoy, over its admin unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

TIMEOUT_S = 1.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP/1.1 over a unix socket; the host name is never looked up."""

    def __init__(self, path: Path) -> None:
        super().__init__("envoy-admin", timeout=TIMEOUT_S)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(admin: Path, path: str) -> tuple[int, str]:
    """Status and body of an admin page; (0, "") when Envoy does not answer."""
    connection = _UnixConnection(admin)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def is_ready(admin: Path) -> bool:
    """Whether the listeners are open."""
    return get(admin, "/ready")[0] == 200


def endpoints(admin: Path) -> dict[str, bool]:
    """Each endpoint, as a gRPC target, and whether Envoy sends calls to it now."""
    status, body = get(admin, "/clusters?format=json")
    if status != 200:
        return {}
    health: dict[str, bool] = {}
    for cluster in json.loads(body).get("cluster_statuses", []):
        for host in cluster.get("host_statuses", []):
            marks = dict(host.get("health_status", {}))
            marks.pop("eds_health_status", None)
            health[_target(host["address"])] = not any(marks.values())
    return health


def requests_served(admin: Path) -> dict[str, int]:
    """Requests sent to each endpoint, as a gRPC target, since Envoy started."""
    _, body = get(admin, "/clusters?format=json")
    counts: dict[str, int] = {}
    for cluster in json.loads(body or "{}").get("cluster_statuses", []):
        for host in cluster.get("host_statuses", []):
            stats = {stat["name"]: int(stat.get("value", 0)) for stat in host.get("stats", [])}
            counts[_target(host["address"])] = stats.get("rq_total", 0)
    return counts


def _target(address: dict) -> str:
    if "pipe" in address:
        return f"unix:{address['pipe']['path']}"
    where = address["socket_address"]
    return f"{where['address']}:{where['port_value']}"
