"""The forward proxy of one browser: its only way out, with the session's rules at the socket.

The browser is started with this proxy for every scheme and host, loopback included, with name
resolution of its own switched off and WebRTC bound to proxied TCP. A tunnel carries TLS and
WebSockets; a plain request is sent on with one connection for each, so that what passes after the
first request of a connection is judged again.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.browser_session.egress.dialing import (
    HEAD_LIMIT_BYTES,
    Refused,
    Unreachable,
    Way,
    dial,
    to_upstream,
)
from services.browser_session.egress.upstream import Streams

PIECE_BYTES = 64 * 1024
END_OF_HEAD = b"\r\n\r\n"
# These belong to one connection, and the next one is ours.
OF_THE_CONNECTION = (b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization")
KEPT_REFUSALS = 100
log = logging.getLogger(__name__)


@dataclass
class Traffic:
    """What a browser has sent and received through its proxy."""

    sent_bytes: int = 0
    received_bytes: int = 0


@dataclass(frozen=True)
class _Request:
    """A request's head as it came in."""

    method: bytes
    target: str
    version: bytes
    fields: list[bytes]


class EgressProxy:
    """Listens on a loopback port for one browser. Without a way it lets nothing pass."""

    def __init__(self, own_ports: set[int]) -> None:
        self.way: Way | None = None
        self.port = 0
        self.traffic = Traffic()
        self.refused: collections.Counter[str] = collections.Counter()
        self._own_ports = own_ports
        self._hidden: set[int] = set()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Starts to listen; `port` then says where."""
        # With SO_REUSEADDR two sockets may be given the same free port, and only one may listen.
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, limit=HEAD_LIMIT_BYTES, reuse_address=False
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.hide(self.port)

    def hide(self, port: int) -> None:
        """Keeps the pages of every session away from a port of this machine, until we close."""
        self._hidden.add(port)
        self._own_ports.add(port)

    async def close(self) -> None:
        """Ends every connection and stops to listen. Safe to call again."""
        if self._server is None:
            return
        self._own_ports -= self._hidden
        self._server.close()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        self._server = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._serve((reader, writer))
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError):
            # Either side went away, or said something that is not HTTP: the connection is over.
            return
        except asyncio.CancelledError:
            # Only `close` cancels us, and it waits.
            return
        finally:
            self._serving.discard(task)
            writer.close()

    async def _serve(self, browser: Streams) -> None:
        request = _parsed(await browser[0].readuntil(END_OF_HEAD))
        host, port = _target(request)
        try:
            await self._connected(browser, request, host, port)
        except Refused as reason:
            self._note(host, port, reason.why)
            browser[1].write(_refusal(host, port, reason.why))
            await browser[1].drain()
        except Unreachable as reason:
            # No answer at all: a page made here would look like the site's own.
            log.debug("%s:%d: %s", host, port, reason)
            if request.method == b"CONNECT":
                browser[1].write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                await browser[1].drain()

    async def _connected(self, browser: Streams, request: _Request, host: str, port: int) -> None:
        if self.way is None:
            raise Refused("no_session")
        if request.method == b"CONNECT":
            site = await dial(self.way, host, port, self._own_ports)
            browser[1].write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
            await self._joined(browser, site, both_ends=True)
            return
        site, head = await self._opened_for(self.way, request, host, port)
        site[1].write(head)
        self.traffic.sent_bytes += len(head)
        await self._joined(browser, site, both_ends=False)

    async def _opened_for(
        self, way: Way, request: _Request, host: str, port: int
    ) -> tuple[Streams, bytes]:
        """A connection for a plain request, and the head to send on it."""
        upstream = way.upstream
        if upstream is None or not upstream.takes_requests:
            return await dial(way, host, port, self._own_ports), _head(request, _path(request))
        site = await to_upstream(way, upstream, host, port, self._own_ports)
        return site, _head(request, request.target, upstream.authorization())

    async def _joined(self, browser: Streams, site: Streams, both_ends: bool) -> None:
        """Carries bytes both ways: a tunnel until both ends are done, a request until one is."""
        up = asyncio.create_task(self._carry_up(browser[0], site[1]))
        down = asyncio.create_task(self._carry_down(site[0], browser[1], not both_ends))
        how = asyncio.ALL_COMPLETED if both_ends else asyncio.FIRST_COMPLETED
        try:
            await asyncio.wait({up, down}, return_when=how)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            site[1].close()

    async def _carry_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE_BYTES):
            self.traffic.sent_bytes += len(piece)
            writer.write(piece)
            await writer.drain()
        _end(writer)

    async def _carry_down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rewrite: bool
    ) -> None:
        if rewrite:
            head = await _answer_head(reader)
            self.traffic.received_bytes += len(head)
            writer.write(head)
        while piece := await reader.read(PIECE_BYTES):
            self.traffic.received_bytes += len(piece)
            writer.write(piece)
            await writer.drain()
        await writer.drain()
        _end(writer)

    def _note(self, host: str, port: int, why: str) -> None:
        place = f"{host[:100]}:{port}"
        if place in self.refused or len(self.refused) < KEPT_REFUSALS:
            self.refused[place] += 1
        log.info("a page was kept from %s (%s)", place, why)


def _end(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


def _parsed(head: bytes) -> _Request:
    first, *fields = head.removesuffix(END_OF_HEAD).split(b"\r\n")
    method, target, version = first.split(b" ")
    return _Request(method, target.decode("ascii"), version, fields)


def _target(request: _Request) -> tuple[str, int]:
    """Host and port of the request; raises ValueError when it is not for a proxy."""
    if request.method == b"CONNECT":
        parsed = urlsplit(f"//{request.target}")
    else:
        parsed = urlsplit(request.target)
        if parsed.scheme != "http":
            raise ValueError("not a request to a proxy")
    if not parsed.hostname or (request.method == b"CONNECT" and not parsed.port):
        raise ValueError("a request without a target")
    return parsed.hostname, parsed.port or 80


def _path(request: _Request) -> str:
    parsed = urlsplit(request.target)
    return (parsed.path or "/") + (f"?{parsed.query}" if "?" in request.target else "")


def _head(request: _Request, target: str, more: bytes = b"") -> bytes:
    first = b" ".join((request.method, target.encode("ascii"), request.version))
    fields = [one for one in request.fields if not _of_the_connection(one)]
    return b"\r\n".join((first, *fields, b"Connection: close")) + b"\r\n" + more + b"\r\n"


def _of_the_connection(line: bytes) -> bool:
    return line.partition(b":")[0].strip().lower() in OF_THE_CONNECTION


async def _answer_head(reader: asyncio.StreamReader) -> bytes:
    """The site's head, with word to the browser that this connection carries no second request."""
    told = b""
    while True:
        first, *fields = (await reader.readuntil(END_OF_HEAD))[:-4].split(b"\r\n")
        kept = [one for one in fields if not _of_the_connection(one)]
        if first.split(b" ")[1:2] and first.split(b" ")[1].startswith(b"1"):
            told += b"\r\n".join((first, *kept)) + END_OF_HEAD
            continue
        return told + b"\r\n".join((first, *kept, b"Connection: close")) + END_OF_HEAD


def _refusal(host: str, port: int, why: str) -> bytes:
    text = f"This browser session may not open {host}:{port} ({why}).\n".encode()
    head = (
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
        f"X-Podium-Egress: {why}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + text
