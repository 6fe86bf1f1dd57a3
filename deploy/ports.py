"""Ports of this machine that nobody uses, for a mesh that speaks TCP with itself."""

from __future__ import annotations

import itertools
import secrets
import socket
from collections.abc import Iterator

# Below what the kernel gives to outgoing connections (net.ipv4.ip_local_port_range), so that a port
# is still free when its process is started again.
LOWEST, HIGHEST = 20_000, 32_000
LOOPBACK = "127.0.0.1"


def free() -> Iterator[str]:
    """Addresses of free ports, each once."""
    first = secrets.randbelow(HIGHEST - LOWEST)
    for step in itertools.count():
        if step >= HIGHEST - LOWEST:
            raise OSError(f"no port from {LOWEST} to {HIGHEST} is free")
        port = LOWEST + (first + step) % (HIGHEST - LOWEST)
        if _is_free(port):
            yield f"{LOOPBACK}:{port}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
