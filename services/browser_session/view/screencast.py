"""The pictures of a session as they change, for everybody who looks at it.

One screencast for each session, however many look: it runs while somebody does, follows the page
that is acted on, and keeps the newest picture. Who is slow misses pictures, and delays nobody.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import aiohttp

from libs import errors
from libs.clock import Clock
from services.browser_session.cdp import CdpConnection, CdpError
from services.browser_session.view.page import Page, attach

log = logging.getLogger(__name__)
QUALITY = 60
MOST_PER_S = 30
LOOK_AGAIN_S = 0.25
FORMAT = {"format": "jpeg", "quality": QUALITY, "everyNthFrame": 1}


@dataclass(frozen=True)
class Picture:
    """What a page looked like."""

    number: int
    jpeg: bytes
    width: int
    height: int
    """Size of what is shown in CSS pixels, which is what input is measured in."""
    url: str
    title: str


class Shown(Protocol):
    """What a screencast needs of a live session."""

    active_page: str

    @property
    def browser_url(self) -> str:
        """The browser's own CDP address."""
        ...

    def touch(self) -> None:
        """Notes that the session is in use."""
        ...


class Viewer:
    """Somebody who looks; takes the newest picture whenever there is a newer one."""

    def __init__(self) -> None:
        self.newer = asyncio.Event()
        self.picture: Picture | None = None
        self._over = asyncio.Event()

    async def next(self) -> Picture | None:
        """The newest picture that was not seen yet; None when there will be no more."""
        await self.newer.wait()
        self.newer.clear()
        return None if self._over.is_set() else self.picture

    async def rest(self, seconds: float) -> None:
        """Leaves out what comes within this time; returns at once when there will be no more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    def end(self) -> None:
        """There will be no more."""
        self._over.set()
        self.newer.set()

    def show(self, picture: Picture) -> None:
        """There is a newer one."""
        self.picture = picture
        self.newer.set()


class Screencast:
    """The pictures of one session."""

    def __init__(self, shown: Shown, http: aiohttp.ClientSession, clock: Clock) -> None:
        self._shown = shown
        self._http = http
        self._clock = clock
        self._viewers: set[Viewer] = set()
        self._casting: asyncio.Task[None] | None = None
        self._picture: Picture | None = None
        self._page: Page | None = None
        self._place = ("", "")
        self._frame_at = 0.0
        self._acks: set[asyncio.Task[None]] = set()
        self._number = 0

    @property
    def viewers(self) -> int:
        """How many look."""
        return len(self._viewers)

    @property
    def page(self) -> Page | None:
        """The page that is shown now."""
        return self._page

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Viewer]:
        """A viewer for as long as the block lasts."""
        viewer = Viewer()
        self._viewers.add(viewer)
        if self._casting is None or self._casting.done():
            self._casting = asyncio.create_task(self._cast())
        elif self._picture is not None:
            viewer.show(self._picture)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)
            if not self._viewers and self._casting is not None:
                casting, self._casting = self._casting, None
                casting.cancel()
                await asyncio.gather(casting, return_exceptions=True)

    async def _cast(self) -> None:
        try:
            connection = await CdpConnection.open(
                self._http, self._shown.browser_url, on_event=self._on_event
            )
            try:
                await connection.send("Target.setDiscoverTargets", {"discover": True})
                while True:
                    await self._follow(connection)
                    self._shown.touch()
                    if await connection.ended(LOOK_AGAIN_S):
                        return
            finally:
                await connection.close()
        except (errors.PodiumError, CdpError, OSError) as gone:
            log.info("a screencast ended: %s", gone)
        finally:
            self._page = self._picture = None
            for viewer in self._viewers:
                viewer.end()

    async def _follow(self, connection: CdpConnection) -> None:
        """Shows the page that is acted on now, if that is another."""
        active = self._shown.active_page
        if self._page is not None and active in ("", self._page.target_id):
            await self._read_place(self._page)
            return
        before = self._page
        try:
            page = await attach(connection, active or "any")
        except (errors.FailedPrecondition, CdpError):
            return  # No page is open at this moment.
        if before is not None and page.target_id == before.target_id:
            return
        if before is not None:
            with contextlib.suppress(CdpError):
                await before.send("Page.stopScreencast")
        self._page = page
        await self._read_place(page)
        with contextlib.suppress(CdpError):
            await page.send("Page.startScreencast", FORMAT)

    async def _read_place(self, page: Page) -> None:
        """Address and title; the browser does not tell by itself that a title has changed."""
        with contextlib.suppress(CdpError):
            params = {"targetId": page.target_id}
            found = (await page.connection.send("Target.getTargetInfo", params))["targetInfo"]
            self._move(found["url"], found["title"])

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        page = self._page
        if page is None:
            return
        if method == "Page.screencastFrame":
            self._take(page, params)
        elif method == "Target.targetDestroyed" and params["targetId"] == page.target_id:
            self._page = None

    def _take(self, page: Page, params: dict[str, Any]) -> None:
        metadata = params["metadata"]
        self._number += 1
        self._show(
            Picture(
                self._number,
                base64.b64decode(params["data"]),
                round(metadata["deviceWidth"]),
                round(metadata["deviceHeight"]),
                *self._place,
            )
        )
        ack = asyncio.create_task(self._ack(page, params["sessionId"]))
        self._acks.add(ack)
        ack.add_done_callback(self._acks.discard)

    def _move(self, url: str, title: str) -> None:
        if (url, title) != self._place:
            self._place = (url, title)
            if self._picture is not None:
                self._show(replace(self._picture, url=url, title=title))

    def _show(self, picture: Picture) -> None:
        self._picture = picture
        for viewer in self._viewers:
            viewer.show(picture)

    async def _ack(self, page: Page, number: int) -> None:
        """Asks for the next picture, not sooner than they may follow each other."""
        wait_s = self._frame_at + 1 / MOST_PER_S - self._clock.monotonic()
        if wait_s > 0:
            await self._clock.sleep(wait_s)
        self._frame_at = self._clock.monotonic()
        with contextlib.suppress(CdpError, errors.PodiumError):
            await page.send("Page.screencastFrameAck", {"sessionId": number})
