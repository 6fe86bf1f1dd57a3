"""Playwright's connections to the sessions' browsers: one driver, one for each session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, CDPSession, Page, Playwright, async_playwright
from playwright.async_api import Error as BrowserError

from libs import errors
from libs.clock import Clock
from libs.rpc.certificates import Certificates
from libs.signals import Signals
from libs.stopping import stop
from services.task import store, wire
from services.task.bridge import reachable
from services.task.domain import Reason, TaskFailure

CONNECT_TIMEOUT_MS = 5_000
# A replica that died is noticed, and its browsers are replaced, well within this.
PATIENCE_S = 15.0
LOOK_AGAIN_S = 0.2
SAVE_TIMEOUT_S = 2.0
CLOSE_TIMEOUT_S = 2.0
HINT_SWEEP_S = 3600.0

Key = tuple[str, str]


@dataclass(frozen=True)
class Attached:
    """A page, and which browser of its session it is in."""

    page: Page
    generation: int


class Browsers:
    """Attaches to sessions and keeps the connection for the tasks that follow in the same run."""

    def __init__(
        self, stub: Any, clock: Clock, signals: Signals, certificates: Certificates | None = None
    ) -> None:
        self._stub = stub
        self._certificates = certificates
        self._clock = clock
        self._signals = signals
        self._generations: dict[Key, int] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[Playwright] | None = None
        self._connected: dict[Key, Browser] = {}
        self._channels: dict[Key, CDPSession] = {}
        self._locks: dict[Key, asyncio.Lock] = {}

    def warm(self) -> None:
        """Begin to start the driver, so that the first task need not wait for it."""
        if self._starting is None:
            self._starting = asyncio.create_task(async_playwright().start(), name="playwright")

    async def close(self) -> None:
        """Detach everywhere and end the driver; the pages stay as they are."""
        await stop(self._watching)
        for browser in list(self._connected.values()):
            await _close(browser)
        if self._starting is not None:
            with contextlib.suppress(Exception):
                await (await self._starting).stop()

    async def page(self, browser_session_id: str, run_id: str) -> Attached:
        """The page of a session that is being acted on."""
        key = (browser_session_id, run_id)
        async with self._locks.setdefault(key, asyncio.Lock()):
            browser = self._connected.get(key)
            if browser is None or not browser.is_connected():
                browser = await self._attach(key)
        try:
            return Attached(await _active_page(browser), self._generations.get(key, 0))
        except BrowserError:
            await self.drop(*key)
            raise

    @contextlib.asynccontextmanager
    async def lent(self, browser_session_id: str, control_id: str) -> AsyncIterator[Page]:
        """The page of a session for whoever holds its wheel; raises what the session says."""
        self.warm()
        assert self._starting is not None
        driver = await asyncio.shield(self._starting)
        way = await self._stub.AttachSession(wire.attach_outside(browser_session_id, control_id))
        try:
            browser = await self._connect(driver, way)
        except BrowserError:
            raise errors.Unavailable(
                "the browser of the session does not answer", retry_after_s=1.0
            ) from None
        try:
            yield await _active_page(browser)
        finally:
            await _close(browser)

    async def drop(self, browser_session_id: str, run_id: str) -> None:
        """Detach from a session; the next task attaches anew."""
        browser = self._connected.pop((browser_session_id, run_id), None)
        self._channels.pop((browser_session_id, run_id), None)
        if browser is not None:
            await _close(browser)

    async def save_profile(self, browser_session_id: str, run_id: str) -> None:
        """Have the session write down what its browser knows of its user, if it still answers."""
        browser = self._connected.get((browser_session_id, run_id))
        if browser is None or not browser.is_connected():
            return
        with contextlib.suppress(BrowserError, TimeoutError):
            async with asyncio.timeout(SAVE_TIMEOUT_S):
                channel = await browser.new_browser_cdp_session()
                await channel.send("Podium.saveProfile")
                await channel.detach()

    async def await_wheel(self, browser_session_id: str, run_id: str) -> None:
        """Return when nobody else acts in the session: a person may have taken its wheel.

        A browser that does not answer is for the action to find out about.
        """
        key = (browser_session_id, run_id)
        browser = self._connected.get(key)
        if browser is None:
            return
        with contextlib.suppress(BrowserError):
            channel = self._channels.get(key)
            if channel is None:
                channel = self._channels[key] = await browser.new_browser_cdp_session()
            await channel.send("Podium.awaitWheel")

    async def _attach(self, key: Key) -> Browser:
        """Connect; again, when nobody answers where the session's browser was a moment ago."""
        self.warm()
        assert self._starting is not None
        driver = await asyncio.shield(self._starting)
        deadline = self._clock.monotonic() + PATIENCE_S
        while True:
            way = await self._way(key)
            try:
                browser = await self._connect(driver, way)
                break
            except BrowserError as error:
                if self._clock.monotonic() > deadline:
                    why = "the browser of the session does not answer"
                    raise TaskFailure(Reason.SESSION_LOST, why) from error
                await self._clock.sleep(LOOK_AGAIN_S)
        self._connected[key], self._generations[key] = browser, way.generation
        lost = self._watch(key, browser)
        browser.on("disconnected", lambda gone: self._forget(key, gone, lost))
        return browser

    async def _connect(self, driver: Playwright, way: Any) -> Browser:
        async with reachable(way.cdp_url, self._certificates) as url:
            return await driver.chromium.connect_over_cdp(
                url,
                headers={"Authorization": f"Bearer {way.token}"},
                timeout=CONNECT_TIMEOUT_MS,
            )

    async def _way(self, key: Key) -> Any:
        try:
            return await self._stub.AttachSession(wire.attach(*key))
        except (errors.NotFound, errors.FailedPrecondition, errors.Invalid) as error:
            raise TaskFailure(
                Reason.SESSION_LOST, f"the browser session cannot be used: {error.message}"
            ) from error

    def _watch(self, key: Key, browser: Browser) -> asyncio.Task[None]:
        """Drop the connection when the session gets another browser: this one may be frozen."""

        async def watch() -> None:
            async with self._signals.subscribe(store.browser_topic(key[0])) as lost:
                while not await lost.wait(HINT_SWEEP_S):
                    pass
            if self._connected.get(key) is browser:
                await self.drop(*key)

        watching = asyncio.create_task(watch(), name=f"browser-{key[0]}")
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return watching

    def _forget(self, key: Key, gone: Browser, watching: asyncio.Task[None]) -> None:
        if watching is not asyncio.current_task():
            watching.cancel()
        if self._connected.get(key) is gone:
            del self._connected[key]
            self._channels.pop(key, None)
            self._locks.pop(key, None)
            self._generations.pop(key, None)


async def _close(browser: Browser) -> None:
    """Detach; a browser that does not answer must not keep us."""
    with contextlib.suppress(BrowserError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await browser.close()


async def _active_page(browser: Browser) -> Page:
    """The page last acted on: the only one, or the one the session's gateway names."""
    context = browser.contexts[0]
    pages = context.pages
    if not pages:
        return await context.new_page()
    if len(pages) == 1:
        return pages[0]
    with contextlib.suppress(BrowserError):
        channel = await browser.new_browser_cdp_session()
        active = (await channel.send("Podium.activePage")).get("targetId")
        await channel.detach()
        for page in pages:
            mine = await context.new_cdp_session(page)
            info = await mine.send("Target.getTargetInfo")
            await mine.detach()
            if info["targetInfo"]["targetId"] == active:
                return page
    return pages[-1]
