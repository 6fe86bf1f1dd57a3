"""Playwright's connections to the sessions' browsers: one driver, one for each session."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from playwright.async_api import Browser, Page, Playwright, async_playwright
from playwright.async_api import Error as BrowserError

from libs import errors
from services.task import wire
from services.task.domain import Reason, TaskFailure

CONNECT_TIMEOUT_MS = 10_000


class Browsers:
    """Attaches to sessions and keeps the connection for the tasks that follow in the same run."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self._starting: asyncio.Task[Playwright] | None = None
        self._connected: dict[tuple[str, str], Browser] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    def warm(self) -> None:
        """Begin to start the driver, so that the first task need not wait for it."""
        if self._starting is None:
            self._starting = asyncio.create_task(async_playwright().start(), name="playwright")

    async def close(self) -> None:
        """Detach everywhere and end the driver; the pages stay as they are."""
        for browser in list(self._connected.values()):
            with contextlib.suppress(BrowserError):
                await browser.close()
        if self._starting is not None:
            with contextlib.suppress(Exception):
                await (await self._starting).stop()

    async def page(self, browser_session_id: str, run_id: str) -> Page:
        """The page of a session that is being acted on."""
        key = (browser_session_id, run_id)
        async with self._locks.setdefault(key, asyncio.Lock()):
            browser = self._connected.get(key)
            if browser is None or not browser.is_connected():
                browser = await self._attach(key)
        try:
            return await _active_page(browser)
        except BrowserError:
            await self.drop(*key)
            raise

    async def drop(self, browser_session_id: str, run_id: str) -> None:
        """Detach from a session; the next task attaches anew."""
        browser = self._connected.pop((browser_session_id, run_id), None)
        if browser is not None:
            with contextlib.suppress(BrowserError):
                await browser.close()

    async def _attach(self, key: tuple[str, str]) -> Browser:
        try:
            way = await self._stub.AttachSession(wire.attach(*key))
        except (errors.NotFound, errors.FailedPrecondition, errors.Invalid) as error:
            raise TaskFailure(
                Reason.SESSION_LOST, f"the browser session cannot be used: {error.message}"
            ) from error
        self.warm()
        assert self._starting is not None
        driver = await asyncio.shield(self._starting)
        browser = await driver.chromium.connect_over_cdp(
            way.cdp_url,
            headers={"Authorization": f"Bearer {way.token}"},
            timeout=CONNECT_TIMEOUT_MS,
        )
        self._connected[key] = browser
        browser.on("disconnected", lambda gone: self._forget(key, gone))
        return browser

    def _forget(self, key: tuple[str, str], gone: Browser) -> None:
        if self._connected.get(key) is gone:
            del self._connected[key]
            self._locks.pop(key, None)


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
