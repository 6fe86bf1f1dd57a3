"""The way to a browser behind mutual TLS, for Playwright, which cannot show a certificate.

It is given an address of this machine that takes one connection and carries its bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from libs.rpc import https
from libs.rpc.certificates import Certificates

OWNER = "browser_session"
SECURED = "wss"
PIECE_BYTES = 65_536

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# The event loop itself keeps no task alive.
_carrying: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def reachable(url: str, certificates: Certificates | None) -> AsyncIterator[str]:
    """Where Playwright reaches `url`, once; the connection that it makes outlives the block."""
    parts = urlsplit(url)
    if certificates is None or parts.scheme != SECURED:
        yield url
        return
    context = https.client_context(certificates, OWNER)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.close()
        try:
            far = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
        except OSError:
            writer.close()
            return
        await _carry((reader, writer), far)

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(carry(reader, writer), name="bridge")
        _carrying.add(task)
        task.add_done_callback(_carrying.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield parts._replace(scheme="ws", netloc=f"127.0.0.1:{port}").geturl()
    finally:
        server.close()


async def _carry(near: Ends, far: Ends) -> None:
    """Carry bytes both ways until one end is closed; then the other is, too."""
    both = [
        asyncio.create_task(_copy(near[0], far[1])),
        asyncio.create_task(_copy(far[0], near[1])),
    ]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        for writer in (near[1], far[1]):
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
