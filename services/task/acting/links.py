"""Sign-in links from mails: where they lead, and what in them nobody may read. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

SHORTEST_MIXED, SHORTEST_PLAIN = 8, 16
_PIECES = re.compile(r"[/?&=#;]")


def host_of(url: str) -> str:
    """The host that a link leads to; empty when it is no plain http(s) address."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.username is not None:
            return ""
        return _spelled(parts.hostname or "")
    except (ValueError, UnicodeError):
        return ""


def accepts(hosts: Iterable[str], host: str) -> bool:
    """Whether the host is one of these, or below one."""
    return bool(host) and any(_covers(_spelled(one), host) for one in hosts)


def secrets_of(url: str) -> list[str]:
    """The link and those of its pieces that may be what signs in."""
    parts = urlsplit(url)
    place = f"{parts.path}?{parts.query}#{parts.fragment}"
    return [url, *(piece for piece in _PIECES.split(place) if _is_minted(piece))]


def _is_minted(piece: str) -> bool:
    mixed = any(c.isdigit() for c in piece) and any(c.isalpha() for c in piece)
    return len(piece) >= (SHORTEST_MIXED if mixed else SHORTEST_PLAIN)


def _covers(one: str, host: str) -> bool:
    return host == one or (host.endswith(f".{one}") and not _is_address(one))


def _spelled(host: str) -> str:
    host = host.lower().rstrip(".")
    return host if host.isascii() else host.encode("idna").decode()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
