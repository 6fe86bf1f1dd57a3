"""A recording of a session while it goes on: console, network, pictures."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import orjson

from libs import errors
from libs.clock import Clock
from services.browser_session.cdp import CdpConnection, CdpError
from services.browser_session.domain import Kind
from services.browser_session.view.console import ConsoleLog
from services.browser_session.view.har import HarLog
from services.browser_session.view.screencast import Screencast
from services.browser_session.view.tape import Tape, files_of

KINDS = (Kind.CONSOLE, Kind.HAR, Kind.RECORDING)
PICTURE_EVERY_S = 0.1
FOLLOW = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
DOMAINS = {Kind.CONSOLE: ("Runtime.enable", "Log.enable"), Kind.HAR: ("Network.enable",)}


class Recorded(Protocol):
    """What a recorder needs of a live session."""

    screencast: Screencast

    @property
    def browser_url(self) -> str:
        """The browser's own CDP address."""
        ...


class Recorder:
    """Records from `start` to `finish`."""

    def __init__(
        self,
        recorded: Recorded,
        kinds: frozenset[Kind],
        folder: Path,
        http: aiohttp.ClientSession,
        clock: Clock,
    ) -> None:
        self.kinds = kinds
        self.tape = ""
        """Under which name it is on disk."""
        self._recorded = recorded
        self._http = http
        self._clock = clock
        self._folder = folder
        self._console = ConsoleLog()
        self._har = HarLog()
        self._tape = Tape(folder)
        self._connection: CdpConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._began_at = 0.0

    async def start(self) -> None:
        """Begins; what was there before is not recorded."""
        await asyncio.to_thread(self._tape.lay)
        self._began_at = self._clock.monotonic()
        if self.kinds & DOMAINS.keys():
            self._connection = await CdpConnection.open(
                self._http, self._recorded.browser_url, on_event=self._on_event
            )
            await self._connection.send("Target.setAutoAttach", FOLLOW)
        if Kind.RECORDING in self.kinds:
            self._spawn(self._take_pictures())

    async def finish(self) -> dict[Kind, Path]:
        """Ends it; answers the files that came of it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()
        if line := self._console.remainder():
            self._tape.add(Kind.CONSOLE, line)
        for one in self._har.remainder():
            self._tape.add(Kind.HAR, orjson.dumps(one))
        self._tape.close()
        return await asyncio.to_thread(files_of, self._folder, self.kinds)

    async def _take_pictures(self) -> None:
        async with self._recorded.screencast.watched() as viewer:
            while not self._tape.is_full and (picture := await viewer.next()) is not None:
                at_s = round(self._clock.monotonic() - self._began_at, 3)
                await asyncio.to_thread(self._tape.add_picture, picture.jpeg, at_s)
                await viewer.rest(PICTURE_EVERY_S)

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Target.attachedToTarget":
            self._spawn(self._listen(params["sessionId"]))
        elif Kind.HAR in self.kinds and method.startswith("Network."):
            for one in self._har.take(method, params):
                self._tape.add(Kind.HAR, orjson.dumps(one))
        elif Kind.CONSOLE in self.kinds and (line := self._console.take(method, params)):
            self._tape.add(Kind.CONSOLE, line)

    async def _listen(self, session: str) -> None:
        """Has a page, a frame or a worker tell what is recorded."""
        assert self._connection is not None
        commands = [name for kind in sorted(self.kinds) for name in DOMAINS.get(kind, ())]
        for command in commands:
            # A worker knows no Log, a page that is gone knows nothing.
            with contextlib.suppress(CdpError, errors.PodiumError):
                await self._connection.send(command, {}, session)
        with contextlib.suppress(CdpError, errors.PodiumError):
            await self._connection.send("Target.setAutoAttach", FOLLOW, session)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
