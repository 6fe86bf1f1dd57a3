"""`python -m tests.support.counting_sink 50`: a receiver that costs next to nothing.

A process of its own, so that what is measured is the sender. It answers 200 after so many
milliseconds, and `GET /report` with what has arrived: for each path how many messages, how many of
them for the first time, and when the first and the last of them came.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import aiohttp
import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb"\r\nwebhook-id: *(\S+)", re.IGNORECASE)
_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_seen: defaultdict[str, set[bytes]] = defaultdict(set)
_at: defaultdict[str, list[float]] = defaultdict(list)


class Receiver(asyncio.Protocol):
    """One connection, which may bring one message after the other."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._pending = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[:end]
            length = _LENGTH.search(head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._pending) < size:
                return
            self._pending = self._pending[size:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1].decode()
        if path == "/report":
            body = json.dumps(_report()).encode()
            self._transport.write(_OK.replace(b": 0", b": %d" % len(body)) + body)
            return
        if path == "/hang":
            return
        message = _ID.search(head)
        if message and message[1] not in _seen[path]:
            _seen[path].add(message[1])
            _at[path].append(time.time())
        else:
            _at[path + " again"].append(time.time())
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._transport.write, _OK)
        else:
            self._transport.write(_OK)


def _report() -> dict[str, Any]:
    return {
        path: {"count": len(times), "first": times[0], "last": times[-1]}
        for path, times in _at.items()
    }


async def _serve(delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receiver(delay_s), "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def sink(delay_ms: int = 0) -> Iterator[str]:
    """Runs a sink inside the block and answers its URL."""
    child = subprocess.Popen(
        [sys.executable, "-m", __name__, str(delay_ms)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        yield f"http://127.0.0.1:{child.stdout.readline().strip()}"
    finally:
        child.kill()
        child.wait()


async def report(url: str) -> dict[str, Any]:
    """What has arrived at a sink."""
    async with aiohttp.ClientSession() as client, client.get(url + "/report") as answer:
        return await answer.json(content_type=None)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]) / 1000))
