"""Small real proxies that ask for credentials and write down what they carried."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Proxy:
    """Where it listens and what went through."""

    port: int = 0
    carried: list[str] = field(default_factory=list)


@asynccontextmanager
async def http_proxy(username: str, password: str) -> AsyncIterator[Proxy]:
    """A proxy for tunnels and plain requests."""
    pair = base64.b64encode(f"{username}:{password}".encode())

    async def serve(proxy: Proxy, client: Streams) -> None:
        head = await client[0].readuntil(b"\r\n\r\n")
        if b"Proxy-Authorization: Basic " + pair not in head:
            client[1].write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        first = head.split(b"\r\n")[0]
        proxy.carried.append(first.decode())
        method, target, _ = first.split(b" ")
        host, _, port = target.removeprefix(b"http://").partition(b"/")[0].partition(b":")
        site = await asyncio.open_connection(host.decode(), int(port or 80))
        if method == b"CONNECT":
            client[1].write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            lines = head.split(b"\r\n")
            site[1].write(b"\r\n".join(x for x in lines if not x.startswith(b"Proxy-Auth")))
        await _joined(client, site)

    async with _listening(serve) as proxy:
        yield proxy


@asynccontextmanager
async def socks_proxy(username: str, password: str) -> AsyncIterator[Proxy]:
    """A SOCKS5 proxy."""

    async def serve(proxy: Proxy, client: Streams) -> None:
        reader, writer = client
        await reader.readexactly((await reader.readexactly(2))[1])
        writer.write(b"\x05\x02")
        name = await reader.readexactly((await reader.readexactly(2))[1])
        word = await reader.readexactly((await reader.readexactly(1))[0])
        good = (name.decode(), word.decode()) == (username, password)
        writer.write(bytes((1, 0 if good else 1)))
        kind = (await reader.readexactly(4))[3]
        size = 4 if kind == 1 else (await reader.readexactly(1))[0]
        raw = await reader.readexactly(size)
        host = ".".join(map(str, raw)) if kind == 1 else raw.decode()
        port = int.from_bytes(await reader.readexactly(2), "big")
        proxy.carried.append(f"{host}:{port}")
        site = await asyncio.open_connection(host, port)
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await _joined(client, site)

    async with _listening(serve) as proxy:
        yield proxy


async def _joined(one: Streams, other: Streams) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.close()

    await asyncio.gather(carry(one[0], other[1]), carry(other[0], one[1]), return_exceptions=True)


@asynccontextmanager
async def _listening(serve: Callable[[Proxy, Streams], Awaitable[None]]) -> AsyncIterator[Proxy]:
    proxy = Proxy()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(proxy, (reader, writer))
        except (OSError, EOFError, ValueError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
