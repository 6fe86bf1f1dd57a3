"""Outgoing HTTP to places a tenant named: which targets are allowed, and a session that obeys.

Every request to an address from outside (webhooks, the http_request block) goes through `session`.
The check sits where the socket is made, after name resolution, because that is the only place every
spelling of an address passes: aiohttp asks no resolver about literal addresses, and a name may
resolve to something else the second time.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from libs import errors

MAX_URL_LENGTH = 2048
ALLOWED_PORTS = frozenset({80, 443, 8080, 8443})
CONNECT_TIMEOUT_S = 3.0
TOTAL_TIMEOUT_S = 15.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class EgressRules(Protocol):
    """The part of the settings that decides what may be reached."""

    @property
    def allow_private_targets(self) -> bool:
        """Local use: loopback, private and shared ranges and any port are allowed."""
        ...


class BlockedTarget(OSError):
    """The address is one we never connect to; the message does not say which address it was.

    The text is always the same so that aiohttp, which merges the failures of several addresses of
    one name, keeps this class when all of them were refused.
    """

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "the target address is not allowed")


def _networks(*ranges: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in ranges)


# Cloud metadata: whoever reads it owns the machine's credentials. Refused without exception.
_METADATA = _networks(
    "169.254.0.0/16",  # AWS, GCP, Azure, OpenStack, ECS tasks and pods are all in here
    "168.63.129.16/32",  # Azure's wire server has a public address
    "100.100.100.200/32",  # Alibaba
    "192.0.0.192/32",  # Oracle
    "fd00:ec2::/32",  # AWS
    "fd20:ce::/32",  # GCP
    "fe80::/10",  # link-local, where OpenStack answers
)

# What local use may reach besides the public internet.
_PRIVATE = _networks(
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
)

# Not public although `is_global` of Python 3.11 says so, or says so in some versions only.
_NEVER_PUBLIC = _networks(
    "100.64.0.0/10",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "240.0.0.0/4",
    "::/8",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2001::/23",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fec0::/10",
)

_NAT64 = _networks("64:ff9b::/96", "64:ff9b:1::/48")
_LOW_V4 = _networks("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96")


def _inside(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address would be translated or tunnelled to."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if int(address) > 1 and _inside(address, _LOW_V4 + _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        return address.sixtofour
    return address.teredo[1] if address.teredo is not None else None


def is_allowed(address: str, port: int, *, allow_private: bool) -> bool:
    """Whether a connection to this numeric address and port may be opened."""
    try:
        target: Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _embedded(target)
    if _inside(target, _METADATA) or (inner is not None and _inside(inner, _METADATA)):
        return False
    if isinstance(target, ipaddress.IPv6Address) and target.ipv4_mapped is not None:
        # The kernel connects a mapped address to the IPv4 one, so it counts as that one; but only
        # local use has a reason to write it so.
        return allow_private and is_allowed(str(target.ipv4_mapped), port, allow_private=True)
    if allow_private and _inside(target, _PRIVATE):
        return True
    if not allow_private and port not in ALLOWED_PORTS:
        return False
    return target.is_global and not target.is_multicast and not _inside(target, _NEVER_PUBLIC)


def _numeric(host: str) -> str | None:
    """The address a host spells, in any spelling the C library takes (0x7f.1, 2130706433, …)."""
    bare = host.partition("%")[0].rstrip(".")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(bare))
    except (OSError, UnicodeError):
        return None


def check_url(url: str, rules: EgressRules, field: str = "url") -> str:
    """The URL if it may be called, else `errors.Invalid` on `field` saying why.

    Names are not resolved: what they resolve to is checked whenever a connection is made.
    """
    if len(url) > MAX_URL_LENGTH:
        raise errors.Invalid(field, f"must be at most {MAX_URL_LENGTH} characters")
    if any(char <= " " or char in "\\\x7f" for char in url):
        raise errors.Invalid(field, "must not contain spaces, backslashes or control characters")
    try:
        parsed = URL(url)
        host, port = parsed.host, parsed.port
    except ValueError:
        raise errors.Invalid(field, "must be an http(s) URL") from None
    if parsed.scheme not in ("http", "https") or not host:
        raise errors.Invalid(field, "must be an http(s) URL")
    if parsed.user is not None or parsed.password is not None:
        raise errors.Invalid(field, "must not contain credentials")
    if not port or (port not in ALLOWED_PORTS and not rules.allow_private_targets):
        allowed = ", ".join(str(number) for number in sorted(ALLOWED_PORTS))
        raise errors.Invalid(field, f"must use one of the ports {allowed}")
    _check_host(host, port, rules, field)
    return url


def _check_host(host: str, port: int, rules: EgressRules, field: str) -> None:
    name = host.lower().rstrip(".")
    private = rules.allow_private_targets
    if not private and (name == "localhost" or name.endswith(".localhost")):
        raise errors.Invalid(field, "must not be a private or local address")
    address = _numeric(name)
    if address is not None and not is_allowed(address, port, allow_private=private):
        raise errors.Invalid(field, "must not be a private, local or metadata address")


async def _refuse_redirect(*_: Any) -> None:
    raise BlockedTarget


def session(
    rules: EgressRules,
    *,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    total_timeout_s: float = TOTAL_TIMEOUT_S,
    connections: int = 256,
    resolver: AbstractResolver | None = None,
) -> aiohttp.ClientSession:
    """A client session that only connects to allowed targets.

    It follows no redirect (a request that leaves `allow_redirects` on fails at the first one),
    reads no proxy or netrc from the environment, keeps no cookies, asks for uncompressed answers
    and does not decompress, and its total timeout covers the body.
    """
    allow_private = rules.allow_private_targets

    def make_socket(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, peer = info
        if not is_allowed(str(peer[0]), int(peer[1]), allow_private=allow_private):
            raise BlockedTarget
        return socket.socket(family, kind, protocol)

    no_redirects = aiohttp.TraceConfig()
    no_redirects.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            socket_factory=make_socket, resolver=resolver, limit=connections, ttl_dns_cache=5
        ),
        timeout=aiohttp.ClientTimeout(total=total_timeout_s, sock_connect=connect_timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        trace_configs=[no_redirects],
        trust_env=False,
        auto_decompress=False,
    )


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the headers, and the body's beginning.

    `first_byte_s` is how long it took until the answer began, with the connection.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool
    first_byte_s: float = 0.0


async def exchange(
    client: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    limit: int,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """One request and at most `limit` bytes of its answer; the rest is never read.

    `tls` may show a client certificate or know further authorities; without it, as usual. Raises
    what aiohttp raises, or TimeoutError; `classify` gives it a word.
    """
    began = asyncio.get_running_loop().time()
    async with client.request(
        method, url, headers=headers, data=body, allow_redirects=False, ssl=tls or True
    ) as response:
        first_byte_s = asyncio.get_running_loop().time() - began
        kept = bytearray()
        while len(kept) <= limit:
            chunk = await response.content.read(limit + 1 - len(kept))
            if not chunk:
                break
            kept += chunk
        truncated = len(kept) > limit
        if truncated:
            # An unread body would be drained for reuse of the connection; give it up instead.
            response.close()
        kept_body = bytes(kept[:limit])
        return Answer(response.status, response.headers, kept_body, truncated, first_byte_s)


def classify(failure: BaseException) -> str:
    """One word for why a request failed: blocked_target, timeout, dns, tls or connect."""
    cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
    if isinstance(cause, BlockedTarget):
        return "blocked_target"
    if isinstance(failure, asyncio.TimeoutError):
        return "timeout"
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return "dns"
    if isinstance(failure, aiohttp.ClientSSLError | ssl.SSLError | ssl.CertificateError):
        return "tls"
    return "connect"
