"""A session whose browser runs in this process: the browser, our own line to it, its downloads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from libs import errors
from libs.clock import Clock
from services.browser_session.browser import Browser
from services.browser_session.cdp import CdpConnection, CdpError
from services.browser_session.cdp_policy import download_behavior
from services.browser_session.domain import Session
from services.browser_session.profile import Profile, capture
from services.browser_session.view.limits import Limits
from services.browser_session.view.recorder import Recorder
from services.browser_session.view.screencast import Screencast
from services.browser_session.view.wheel import Wheel

log = logging.getLogger(__name__)
FLUSH_TIMEOUT_S = 5.0
SAVE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Download:
    """A download the browser has finished."""

    path: Path
    suggested_name: str
    refused: str = ""
    """Why it is not kept, if it is not."""


KeepDownload = Callable[[Download], Awaitable[None]]
KeepProfile = Callable[[Profile], Awaitable[None]]


class LiveSession:
    """What this replica holds of a session it owns."""

    def __init__(
        self,
        row: Session,
        browser: Browser,
        clock: Clock,
        keep: KeepDownload,
        keep_profile: KeepProfile,
    ) -> None:
        self.session_id = row.session_id
        self.generation = row.generation
        self.saves_at_end = row.options.save_profile
        """Whether what it knows at its end is to be kept beyond the session."""
        self.browser = browser
        self.profile = Profile()
        self.active_page = ""
        self.largest_download_bytes = Limits().largest_download_bytes
        self.wheel = Wheel(clock)
        self.recorder: Recorder | None = None
        self.before_end: list[Callable[[], Awaitable[None]]] = []
        """What is to be done before the browser ends and its folder is removed."""
        self.clearing: asyncio.Task[None] | None = None
        self._clock = clock
        self._keep = keep
        self._keep_profile = keep_profile
        self._used = asyncio.Event()
        self._saving = asyncio.Lock()
        self._keeping_profile: asyncio.Task[None] | None = None
        self._urls: dict[str, str] = {}
        self._touched = False
        self._names: dict[str, str] = {}
        self._keeping: set[asyncio.Task[None]] = set()
        self._control: CdpConnection | None = None

    @property
    def browser_url(self) -> str:
        """The browser's own CDP address."""
        return self.browser.cdp_url

    @property
    def downloads(self) -> str:
        """Where its downloads land."""
        return str(self.browser.downloads)

    async def open(self, http: aiohttp.ClientSession, timeout_s: float) -> None:
        """Opens our own line to the browser: downloads are allowed and reported from now on."""
        self.screencast = Screencast(self, http, self._clock)
        try:
            async with asyncio.timeout(timeout_s):
                self._control = await CdpConnection.open(
                    http, self.browser.cdp_url, on_event=self._on_event
                )
                await self._allow_downloads()
                await self._control.send("Target.setDiscoverTargets", {"discover": True})
        except TimeoutError:
            raise errors.Unavailable(
                f"the browser did not answer within {timeout_s:g} s", retry_after_s=1.0
            ) from None

    async def lost(self) -> None:
        """Returns when the browser has died by itself, or our line to it has ended.

        The kernel closes a dying process's sockets well before it says that the process has ended:
        first it takes back the memory. A browser that lives without our line is of no use.
        """
        assert self._control is not None
        signs = [
            asyncio.create_task(self.browser.exited.wait()),
            asyncio.create_task(self._control.ended()),
        ]
        try:
            await asyncio.wait(signs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for sign in signs:
                sign.cancel()

    def touch(self) -> None:
        """Notes that the session is in use."""
        self._touched = True
        self._used.set()

    def take_touched(self) -> bool:
        """Whether it was used since this was last asked."""
        touched, self._touched = self._touched, False
        return touched

    async def driver_left(self) -> None:
        """Chromium forgets the download behaviour when a client that had set it disconnects."""
        self.touch()
        try:
            await self._allow_downloads()
        except errors.Unavailable:
            # The browser is gone; whoever watches its exit deals with that.
            return

    async def save_profile(self) -> None:
        """Writes down what the browser knows of its user, if that has changed; never raises."""
        async with self._saving:
            self._used.clear()
            try:
                if self._control is None:
                    return
                async with asyncio.timeout(SAVE_TIMEOUT_S):
                    found = await capture(self._control, self.active_page, self.profile)
                if found != self.profile:
                    await self._keep_profile(found)
                    self.profile = found
            except (errors.PodiumError, CdpError, TimeoutError) as error:
                # The older profile stays; who watches the browser deals with its end.
                log.info("the profile of session %s was not saved: %s", self.session_id, error)

    def start_keeping(self, every_s: float) -> None:
        """Saves the profile now and then while the browser is in use, until it is closed."""
        self._keeping_profile = asyncio.create_task(self._keep_profile_safe(every_s))

    async def version(self) -> str:
        """Which browser it is; proves that it answers."""
        assert self._control is not None
        return (await self._control.send("Browser.getVersion"))["product"]

    async def _keep_profile_safe(self, every_s: float) -> None:
        while True:
            await self._used.wait()
            await self.save_profile()
            await self._clock.sleep(every_s)

    async def close(self) -> None:
        """Lets finished downloads be kept, then ends the browser. Safe to call again."""
        if self._keeping_profile is not None:
            self._keeping_profile.cancel()
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=FLUSH_TIMEOUT_S)
        for finish in self.before_end:
            await self._finish(finish)
        self.before_end.clear()
        if self._control:
            await self._control.close()
        await self.browser.kill()

    async def _finish(self, finish: Callable[[], Awaitable[None]]) -> None:
        """The browser ends whatever becomes of this."""
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await finish()
        except Exception:
            log.exception("something of session %s was not kept", self.session_id)

    async def _allow_downloads(self) -> None:
        if self._control:
            await self._control.send(
                "Browser.setDownloadBehavior", download_behavior(self.downloads)
            )

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Browser.downloadWillBegin":
            self._names[params["guid"]] = params.get("suggestedFilename", "")
        elif method == "Browser.downloadProgress":
            self._progress(params)
        elif method == "Target.targetCreated" and params["targetInfo"]["type"] == "page":
            self.active_page = params["targetInfo"]["targetId"]
        elif method == "Target.targetInfoChanged":
            self._navigated(params["targetInfo"])
        elif method == "Target.targetCrashed":
            self._spawn(self._replace_page(params["targetId"]))
        elif method == "Target.targetDestroyed":
            self._urls.pop(params["targetId"], None)

    async def _replace_page(self, target_id: str) -> None:
        """A page whose renderer died shows and answers nothing: another takes its place."""
        if self._control is None:
            return
        url = self._urls.get(target_id, "")
        log.warning("a page of session %s crashed", self.session_id)
        with contextlib.suppress(CdpError, errors.PodiumError):
            # First the new one: a browser without any page may end.
            await self._control.send("Target.createTarget", {"url": url or "about:blank"})
            await self._control.send("Target.closeTarget", {"targetId": target_id})

    def _navigated(self, target: dict[str, Any]) -> None:
        # Attaching to a page is announced, too; only another address is news.
        if self._urls.get(target["targetId"]) != target["url"]:
            self._urls[target["targetId"]] = target["url"]
            self._used.set()

    def _progress(self, params: dict[str, Any]) -> None:
        self.touch()
        if params["state"] == "inProgress":
            size = max(params["receivedBytes"], params["totalBytes"])
            if size > self.largest_download_bytes and self._control is not None:
                self._spawn(self._refuse(params["guid"]))
            return
        name = self._names.pop(params["guid"], "")
        if params["state"] != "completed":
            return
        # The name on disk is the browser's random one; what the site suggested is only shown.
        path = self.browser.downloads / Path(params["guid"]).name
        self._spawn(self._keep_download(Download(path, name)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _refuse(self, guid: str) -> None:
        """Ends a download that is too large, once."""
        name = self._names.pop(guid, None)
        if name is None or self._control is None:
            return
        with contextlib.suppress(CdpError, errors.PodiumError):
            await self._control.send("Browser.cancelDownload", {"guid": guid})
        why = f"it is larger than {self.largest_download_bytes} bytes"
        await self._keep_download(Download(self.browser.downloads / Path(guid).name, name, why))

    async def _keep_download(self, download: Download) -> None:
        try:
            await self._keep(download)
        except Exception:
            log.exception("a download of session %s could not be kept", self.session_id)
