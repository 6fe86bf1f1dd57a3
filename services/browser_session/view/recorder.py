"""A recording of a session while it goes on: console, network, pictures."""

from __future__ import annotations

import asyncio
import contextlib
import zipfile
from dataclasses import dataclass, field
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

VERSION = "1"
KINDS = (Kind.CONSOLE, Kind.HAR, Kind.RECORDING)
MOST_PICTURES = 6_000
MOST_BYTES = 256 * 1024 * 1024
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


@dataclass
class _Pictures:
    """The pictures in their folder, and when each was taken."""

    folder: Path
    seconds: list[float] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, jpeg: bytes, at_s: float) -> None:
        self.seconds.append(at_s)
        self.size_bytes += len(jpeg)
        (self.folder / f"{len(self.seconds):06}.jpg").write_bytes(jpeg)

    @property
    def is_full(self) -> bool:
        return len(self.seconds) >= MOST_PICTURES or self.size_bytes >= MOST_BYTES

    def zipped(self, target: Path) -> None:
        """All of them in one file, with a list that ffmpeg makes a film of."""
        film = ["ffconcat version 1.0"]
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for place, at_s in enumerate(self.seconds):
                name = f"{place + 1:06}.jpg"
                archive.write(self.folder / name, name)
                following = self.seconds[place + 1 : place + 2] or [at_s + 1]
                film += [f"file {name}", f"duration {following[0] - at_s:.3f}"]
            archive.writestr("film.ffconcat", "\n".join(film) + "\n")
            archive.writestr("index.json", orjson.dumps({"seconds": self.seconds}))


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
        self._recorded = recorded
        self._http = http
        self._clock = clock
        self._folder = folder
        self._console = ConsoleLog()
        self._har = HarLog()
        self._pictures = _Pictures(folder)
        self._connection: CdpConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._began_at = 0.0

    async def start(self) -> None:
        """Begins; what was there before is not recorded."""
        self._folder.mkdir(parents=True, exist_ok=True)
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
        return await asyncio.to_thread(self._write)

    def _write(self) -> dict[Kind, Path]:
        found = {kind: self._folder / kind.value for kind in self.kinds}
        if Kind.CONSOLE in found:
            found[Kind.CONSOLE].write_bytes(self._console.document())
        if Kind.HAR in found:
            document = self._har.document(VERSION)
            found[Kind.HAR].write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        if Kind.RECORDING in found:
            self._pictures.zipped(found[Kind.RECORDING])
        return found

    async def _take_pictures(self) -> None:
        async with self._recorded.screencast.watched() as viewer:
            while not self._pictures.is_full and (picture := await viewer.next()) is not None:
                at_s = round(self._clock.monotonic() - self._began_at, 3)
                await asyncio.to_thread(self._pictures.add, picture.jpeg, at_s)
                await self._clock.sleep(PICTURE_EVERY_S)

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Target.attachedToTarget":
            self._spawn(self._listen(params["sessionId"]))
        elif Kind.HAR in self.kinds and method.startswith("Network."):
            self._har.take(method, params)
        elif Kind.CONSOLE in self.kinds:
            self._console.take(method, params)

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
