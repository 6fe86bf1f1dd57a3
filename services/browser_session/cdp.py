"""A small client of the Chrome DevTools Protocol: what this service itself asks of a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from libs import errors

MESSAGE_LIMIT_BYTES = 256 * 1024 * 1024
EventHandler = Callable[[str, dict[str, Any]], None]


class CdpError(Exception):
    """The browser refused a command."""


class CdpConnection:
    """One websocket to a browser. Commands are awaited; events go to `on_event` in order."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse, on_event: EventHandler | None = None
    ) -> None:
        self._socket = socket
        self._on_event = on_event
        self.speaker = ""
        """The target session whose event is being handled; empty for the browser itself."""
        self._next_id = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        http: aiohttp.ClientSession,
        url: str,
        headers: Mapping[str, str] | None = None,
        on_event: EventHandler | None = None,
    ) -> CdpConnection:
        """Connects; raises Unavailable when nobody answers at the address or it refuses."""
        try:
            socket = await http.ws_connect(
                url, headers=headers, max_msg_size=MESSAGE_LIMIT_BYTES, compress=0
            )
        except aiohttp.ClientError as reason:
            raise errors.Unavailable(
                "the browser of this session cannot be reached", retry_after_s=1.0
            ) from reason
        return cls(socket, on_event)

    async def send(
        self, method: str, params: dict[str, Any] | None = None, session: str = ""
    ) -> dict[str, Any]:
        """Sends a command to the browser, or to the target of `session`, and returns its result."""
        if self._reader.done():
            raise self._gone()
        self._next_id += 1
        message: dict[str, Any] = {"id": self._next_id, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._next_id] = answer
        try:
            await self._socket.send_str(json.dumps(message))
            return await answer
        except (ConnectionError, aiohttp.ClientError) as reason:
            raise self._gone() from reason
        finally:
            self._waiting.pop(message["id"], None)

    @property
    def is_closed(self) -> bool:
        """Whether the other side is gone."""
        return self._reader.done()

    async def ended(self, within_s: float) -> bool:
        """Whether the other side goes away within this time; says so at the moment it does."""
        await asyncio.wait({self._reader}, timeout=within_s)
        return self.is_closed

    async def close(self) -> None:
        """Ends the connection; the browser goes on."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._socket.close()

    async def _read(self) -> None:
        try:
            async for frame in self._socket:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    self._take(json.loads(frame.data))
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(self._gone())

    def _take(self, message: dict[str, Any]) -> None:
        if "id" not in message:
            self.speaker = message.get("sessionId", "")
            if self._on_event:
                self._on_event(message["method"], message.get("params", {}))
            return
        answer = self._waiting.get(message["id"])
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(CdpError(message["error"].get("message", "refused")))
        else:
            answer.set_result(message.get("result", {}))

    @staticmethod
    def _gone() -> errors.Unavailable:
        return errors.Unavailable("the browser closed the connection", retry_after_s=1.0)
