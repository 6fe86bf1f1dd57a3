"""Telling every page of a browser what its session asked for, before its first script runs.

One line of ours to the browser attaches to each target as it comes into being (pages, frames of
other sites, workers), which waits until it has been told. What is set this way lasts as long as the
line, so the line stays open for the browser's whole life.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp

from libs import errors
from services.browser_session.cdp import CdpConnection, CdpError
from services.browser_session.presence import RESOURCE_TYPES, Hidden, Presence

log = logging.getLogger(__name__)
AUTO_ATTACH = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
NO_BUFFERS = {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0}
PLACED = ("page", "iframe")

Command = tuple[str, dict[str, Any]]


class Presenter:
    """The line to one browser, and what each of its targets is told."""

    def __init__(self, presence: Presence, hidden: Hidden) -> None:
        self._presence = presence
        self._hidden = hidden
        self._line: CdpConnection | None = None
        self._work: set[asyncio.Task[None]] = set()
        self._first_told = asyncio.Event()

    async def open(self, http: aiohttp.ClientSession, url: str) -> None:
        """Returns when the page that the browser began with has been told."""
        self._line = await CdpConnection.open(http, url, on_event=self._on_event)
        if self._presence.geolocation is not None:
            await self._line.send("Browser.grantPermissions", {"permissions": ["geolocation"]})
        await self._line.send("Target.setAutoAttach", AUTO_ATTACH)
        await self._first_told.wait()

    async def close(self) -> None:
        """Ends the line."""
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        if self._line is not None:
            await self._line.close()

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        assert self._line is not None
        if method == "Target.attachedToTarget":
            self._spawn(self._tell(params["sessionId"], params["targetInfo"]["type"]))
        elif method == "Fetch.requestPaused":
            self._spawn(self._drop(self._line.speaker, params["requestId"]))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _tell(self, session: str, kind: str) -> None:
        """Sends a target everything at once and lets it go on, in the order it was sent."""
        assert self._line is not None
        commands = [*self._commands(kind), ("Runtime.runIfWaitingForDebugger", {})]
        told = (self._line.send(method, params, session) for method, params in commands)
        for outcome in await asyncio.gather(*told, return_exceptions=True):
            # Not every kind of target knows every command, and some are gone at once.
            if isinstance(outcome, BaseException) and not isinstance(
                outcome, CdpError | errors.Unavailable
            ):
                log.error("a page could not be told its session's settings", exc_info=outcome)
        if kind == "page":
            self._first_told.set()

    def _commands(self, kind: str) -> list[Command]:
        presence = self._presence
        commands: list[Command] = [("Target.setAutoAttach", AUTO_ATTACH)]
        place = presence.geolocation
        if place is not None and kind in PLACED:
            where = {"latitude": place.latitude, "longitude": place.longitude}
            override = {**where, "accuracy": place.accuracy_m}
            commands.append(("Emulation.setGeolocationOverride", override))
        if presence.header_names or presence.block_urls:
            commands.append(("Network.enable", NO_BUFFERS))
        if presence.header_names:
            headers = {name: value.reveal() for name, value in self._hidden.headers}
            commands.append(("Network.setExtraHTTPHeaders", {"headers": headers}))
        if presence.block_urls:
            commands.append(("Network.setBlockedURLs", {"urls": list(presence.block_urls)}))
        if presence.block_types:
            kinds = [{"resourceType": RESOURCE_TYPES[one]} for one in presence.block_types]
            commands.append(("Fetch.enable", {"patterns": kinds}))
        return commands

    async def _drop(self, session: str, request_id: str) -> None:
        assert self._line is not None
        try:
            refusal = {"requestId": request_id, "errorReason": "BlockedByClient"}
            await self._line.send("Fetch.failRequest", refusal, session)
        except (CdpError, errors.Unavailable):
            # The page is gone, and the request with it.
            return
