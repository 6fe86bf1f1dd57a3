"""Which hosts a session may reach: allow and deny lists over names, addresses and ranges.

Pure. Deny wins; an empty allow list allows everything that is not denied. What the lists say never
opens a private or metadata address: that is the mesh's own setting, checked where the connection
is made.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from libs import errors

MOST_PATTERNS = 200
LONGEST_PATTERN = 260
NAME = re.compile(r"^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_-]{1,63}$")
WITH_PORT = re.compile(r"^(?P<host>\[[^\]]*\]|[^:]*)(:(?P<port>\d{1,5}))?$")
HIGHEST_PORT = 65535
WHY = (
    "must be a host, a *.domain, an address, a range such as 10.0.0.0/8, or *, "
    "with an optional :port"
)


@dataclass(frozen=True)
class Egress:
    """The lists of one session, as its owner wrote them."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def denies(self, host: str, port: int) -> bool:
        """Whether this name or address is on the deny list."""
        return any(_matches(pattern, host, port) for pattern in self.deny)

    def allows(self, host: str, port: int) -> bool:
        """Whether this name or address is on the allow list, or there is none."""
        return not self.allow or any(_matches(pattern, host, port) for pattern in self.allow)


def checked(field: str, patterns: Iterable[str]) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """The patterns in one spelling, and what is wrong with them by field."""
    found, wrong = [], []
    for number, pattern in enumerate(patterns):
        spelled = pattern.strip().lower()
        if number >= MOST_PATTERNS:
            wrong.append((field, f"has more than {MOST_PATTERNS} entries"))
            break
        if len(spelled) > LONGEST_PATTERN or not _is_pattern(spelled):
            wrong.append((f"{field}[{number}]", WHY))
        found.append(spelled)
    return tuple(found), wrong


def canonical(host: str) -> str:
    """A host as the lists spell it: lower case, no root dot, no brackets."""
    return host.strip("[]").lower().rstrip(".")


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address a host spells out, if it is not a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _split(pattern: str) -> tuple[str, int | None]:
    if address_of(pattern) is not None or _range(pattern) is not None:
        return pattern, None
    found = WITH_PORT.match(pattern)
    if found is None:
        raise errors.Invalid("pattern", WHY)
    port = found.group("port")
    return found.group("host").strip("[]"), int(port) if port else None


def _is_pattern(pattern: str) -> bool:
    try:
        host, port = _split(pattern)
    except errors.Invalid:
        return False
    if port is not None and not 0 < port <= HIGHEST_PORT:
        return False
    if host == "*" or address_of(host) is not None or _range(host) is not None:
        return True
    return NAME.match(host.rstrip(".")) is not None


def _range(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    if "/" not in text:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _matches(pattern: str, host: str, port: int) -> bool:
    wanted, wanted_port = _split(pattern)
    if wanted_port is not None and wanted_port != port:
        return False
    if wanted == "*":
        return True
    address = address_of(host)
    network = _range(wanted)
    if network is not None:
        return address is not None and address.version == network.version and address in network
    if address is not None:
        return address == address_of(wanted)
    if wanted.startswith("*."):
        return host.endswith(wanted[1:].rstrip("."))
    return host == wanted.rstrip(".")
