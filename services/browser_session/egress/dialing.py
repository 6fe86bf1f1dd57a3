"""Opening the connection that a page asked for, or saying why not.

The check sits where the socket is made, after the name was resolved: only there every spelling of
an address, every redirect and every name that changes its mind comes past.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Set
from dataclasses import dataclass, field

from libs.egress import is_allowed
from services.browser_session.egress.policy import Egress, address_of, canonical
from services.browser_session.egress.upstream import Streams, Upstream

CONNECT_TIMEOUT_S = 10.0
HEAD_LIMIT_BYTES = 256 * 1024
# Which ports a page may use is the browser's own rule; only the address is judged here.
ANY_PORT = 443


class Refused(Exception):
    """The session may not open this connection; `why` is one word for it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Unreachable(Exception):
    """The session may, but nobody answers there."""


@dataclass(frozen=True)
class Way:
    """How a session gets out: its lists, what the mesh allows, and the proxy behind ours."""

    egress: Egress = field(default_factory=Egress)
    allow_private: bool = False
    upstream: Upstream | None = None


async def dial(way: Way, host: str, port: int, own_ports: Set[int]) -> Streams:
    """A connection to the target; with an upstream proxy, through it.

    `own_ports` are our own doors on this machine (other sessions' proxies, browsers' debugging
    ports): no page may knock there, whatever else is allowed.
    """
    if way.upstream is not None:
        streams = await to_upstream(way, way.upstream, host, port, own_ports)
        return await _tunnelled(way.upstream, streams, canonical(host), port)
    name = _judged(way, host, port)
    addresses = await _addresses(name, port)
    _check_resolved(way, name, port, addresses, own_ports)
    return await _connect(addresses, port)


async def to_upstream(
    way: Way, upstream: Upstream, host: str, port: int, own_ports: Set[int]
) -> Streams:
    """A connection to the upstream proxy, for a target that the session may reach."""
    name = _judged(way, host, port)
    _check_unresolved(way, name, port, own_ports)
    addresses = await _addresses(upstream.host, upstream.port)
    for address in addresses:
        allowed = is_allowed(address, ANY_PORT, allow_private=way.allow_private)
        if not allowed or _is_own(address, upstream.port, own_ports):
            raise Refused("private")
    return await _connect(addresses, upstream.port, upstream)


async def _tunnelled(upstream: Upstream, streams: Streams, name: str, port: int) -> Streams:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await upstream.tunnel(streams, name, port)
    except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError) as reason:
        streams[1].close()
        raise Unreachable(f"the upstream proxy did not connect us: {reason}") from reason
    return streams


def _judged(way: Way, host: str, port: int) -> str:
    name = canonical(host)
    if not name or way.egress.denies(name, port):
        raise Refused("denied")
    return name


def _check_unresolved(way: Way, name: str, port: int, own_ports: Set[int]) -> None:
    """The upstream proxy resolves names in its own network; what is spelled out is judged here."""
    if not way.egress.allows(name, port):
        raise Refused("not_allowed")
    address = _spelled_out(name)
    local = name == "localhost" or name.endswith(".localhost")
    if address is None and not (local and not way.allow_private):
        return
    if address is None or not is_allowed(address, ANY_PORT, allow_private=way.allow_private):
        raise Refused("private")
    if way.egress.denies(address, port) or _is_own(address, port, own_ports):
        raise Refused("denied")


def _check_resolved(
    way: Way, name: str, port: int, addresses: list[str], own_ports: Set[int]
) -> None:
    """Every address must pass: a name that mixes good ones with bad ones is up to something."""
    by_name = way.egress.allows(name, port)
    for address in addresses:
        if not is_allowed(address, ANY_PORT, allow_private=way.allow_private):
            raise Refused("private")
        if way.egress.denies(address, port) or _is_own(address, port, own_ports):
            raise Refused("denied")
        if not by_name and not way.egress.allows(address, port):
            raise Refused("not_allowed")


def _is_own(address: str, port: int, own_ports: Set[int]) -> bool:
    found = address_of(address)
    return port in own_ports and found is not None and not found.is_global


def _spelled_out(name: str) -> str | None:
    """The address a name spells in any way the C library understands, such as 0x7f.1."""
    if address_of(name) is not None:
        return name
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except (OSError, UnicodeError):
        return None


async def _addresses(name: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (TimeoutError, OSError, UnicodeError) as reason:
        raise Unreachable(f"{name} has no address") from reason
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def _connect(addresses: list[str], port: int, upstream: Upstream | None = None) -> Streams:
    last: Exception | None = None
    tls = upstream.tls if upstream else None
    name = upstream.host if upstream and tls else None
    for address in addresses:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await asyncio.open_connection(
                    address, port, limit=HEAD_LIMIT_BYTES, ssl=tls, server_hostname=name
                )
        except (TimeoutError, OSError) as reason:
            last = reason
    raise Unreachable("nobody answers there") from last
