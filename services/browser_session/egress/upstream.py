"""The proxy that a session's owner named: how to have it open a connection for us."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
import struct
from dataclasses import dataclass, field

from libs import errors
from libs.secrets import Secret

SCHEMES = {"http": 80, "https": 443, "socks5": 1080}
LONGEST_ANSWER_BYTES = 16 * 1024
CREDENTIAL_BYTES = 255
SOCKS_PASSWORD, SOCKS_OPEN = 2, 0
SOCKS_ADDRESS_BYTES = {1: 4, 4: 16}
SOCKS_NAME = 3

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class UpstreamRefused(OSError):
    """The proxy would not open the connection."""


@dataclass(frozen=True)
class Upstream:
    """A proxy, and who we are to it."""

    scheme: str
    host: str
    port: int
    username: str = ""
    password: Secret = field(default_factory=lambda: Secret(""))

    @property
    def takes_requests(self) -> bool:
        """Whether plain requests are sent to it as they are, rather than through a tunnel."""
        return self.scheme != "socks5"

    @property
    def tls(self) -> ssl.SSLContext | None:
        """How the proxy itself is spoken to."""
        return ssl.create_default_context() if self.scheme == "https" else None

    def authorization(self) -> bytes:
        """The header line that names us; empty without credentials."""
        if not self.username:
            return b""
        pair = f"{self.username}:{self.password.reveal()}".encode()
        return b"Proxy-Authorization: Basic " + base64.b64encode(pair) + b"\r\n"

    async def tunnel(self, streams: Streams, host: str, port: int) -> None:
        """Has the proxy connect to the target; raises UpstreamRefused when it does not."""
        if self.scheme == "socks5":
            await self._socks(streams, host, port)
        else:
            await self._connect(streams, host, port)

    async def _connect(self, streams: Streams, host: str, port: int) -> None:
        reader, writer = streams
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode()
        writer.write(lines + self.authorization() + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1:2]
        if status != [b"200"]:
            shown = status[0].decode("latin-1") if status else "nothing"
            raise UpstreamRefused(f"the upstream proxy answered {shown}")

    async def _socks(self, streams: Streams, host: str, port: int) -> None:
        reader, writer = streams
        method = SOCKS_PASSWORD if self.username else SOCKS_OPEN
        writer.write(bytes((5, 1, method)))
        if await reader.readexactly(2) != bytes((5, method)):
            raise UpstreamRefused("the upstream proxy refused our way to sign in")
        if self.username:
            name, secret = self.username.encode(), self.password.reveal().encode()
            writer.write(bytes((1, len(name))) + name + bytes((len(secret),)) + secret)
            if (await reader.readexactly(2))[1] != 0:
                raise UpstreamRefused("the upstream proxy refused the credentials")
        writer.write(b"\x05\x01\x00" + _socks_address(host) + struct.pack("!H", port))
        head = await reader.readexactly(4)
        if head[1] != 0:
            raise UpstreamRefused(f"the upstream proxy answered {head[1]}")
        length = SOCKS_ADDRESS_BYTES.get(head[3]) or (await reader.readexactly(1))[0]
        await reader.readexactly(length + 2)


def checked(
    server: str, username: str, password: str, field_name: str
) -> tuple[Upstream | None, list[tuple[str, str]]]:
    """The proxy that is asked for, and what is wrong with it by field."""
    if not server:
        rest = username or password
        return None, [(f"{field_name}.server", "must be set")] if rest else []
    scheme, mark, rest = server.partition("://")
    host, _, port = rest.rpartition(":") if ":" in rest.rpartition("]")[2] else (rest, "", "")
    scheme = scheme.lower()
    wrong = []
    if not mark or scheme not in SCHEMES or not host.strip("[]") or set(rest) & set("@/?# \t\r\n"):
        why = "must be scheme://host:port with http, https or socks5, and no credentials"
        wrong.append((f"{field_name}.server", why))
    elif port and not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        wrong.append((f"{field_name}.server", "has a port that does not exist"))
    for name, value in (("username", username), ("password", password)):
        if len(value.encode()) > CREDENTIAL_BYTES or not value.isprintable():
            wrong.append((f"{field_name}.{name}", "must be at most 255 printable bytes"))
    if wrong:
        return None, wrong
    number = int(port) if port else SCHEMES[scheme]
    return Upstream(scheme, host.strip("[]").lower(), number, username, Secret(password)), []


def from_text(server: str, username: str, password: str) -> Upstream | None:
    """The proxy of settings that were checked when they came in."""
    found, wrong = checked(server, username, password, "proxy")
    if wrong:
        raise errors.Invalid.many(wrong)
    return found


def _socks_address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("idna") if not host.isascii() else host.encode()
        return bytes((SOCKS_NAME, len(name))) + name
    return bytes((1 if address.version == 4 else 4,)) + address.packed
