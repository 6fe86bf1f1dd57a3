"""Where a link leads, and whether that is allowed: one rule for everybody who judges a link."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

MAX_URL_LENGTH = 4096


def host_of(url: str) -> str:
    """The host that this URL leads to; empty when it is no plain http(s) URL.

    A browser reads a backslash as a slash and `urlsplit` (RFC 3986) does not: such a URL leads
    nowhere, and neither does one with a user in it, "https://acme.example@evil.example/".
    """
    if len(url) > MAX_URL_LENGTH or "\\" in url:
        return ""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
        if parts.scheme.lower() not in ("http", "https") or parts.username is not None:
            return ""
        return spelled(host)
    except (ValueError, UnicodeError):
        return ""


def accepts(hosts: Iterable[str], host: str) -> bool:
    """Whether a host, as `host_of` answers it, is one of these or below one."""
    return bool(host) and any(_covers(spelled(one), host) for one in hosts)


def spelled(host: str) -> str:
    """One spelling for each host: lower case, IDNA, without the final dot; UnicodeError if none."""
    host = host.lower().rstrip(".").strip("[]")
    return host if host.isascii() else host.encode("idna").decode()


def is_address(host: str) -> bool:
    """Whether it is an IP address, which has no hosts below it."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _covers(one: str, host: str) -> bool:
    return host == one or (host.endswith(f".{one}") and not is_address(one))
