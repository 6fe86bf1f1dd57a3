"""A real headless Chromium for tests of the page engine, and plain stand-ins for its ports."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from libs.clock import Clock
from libs.secrets import Secret
from services.task.acting.scene import Scene
from services.task.domain import Reason, TaskFailure
from services.task.ports import Artifact, Credential, File, Given, Wanted

from .office import PASSWORD, USERNAME

SHELL = "/usr/lib/chromium/chromium-headless-shell"


@asynccontextmanager
async def chromium() -> AsyncIterator[str]:
    """A browser process; answers its CDP address."""
    home = Path(tempfile.mkdtemp(prefix="pt-chromium-"))
    process = await asyncio.create_subprocess_exec(
        shutil.which("chromium-headless-shell") or SHELL,
        "--headless", "--no-sandbox", "--remote-debugging-port=0", f"--user-data-dir={home}",
        "--no-first-run", "--disable-gpu", "about:blank",
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        while True:
            line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
            if "DevTools listening on " in line:
                yield line.split("DevTools listening on ")[1].strip()
                break
            assert line, "the browser ended"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        shutil.rmtree(home, ignore_errors=True)


@dataclass
class Stage:
    """A browser to act in."""

    browser: Browser
    downloads: Path

    async def scene(self, **more: object) -> Scene:
        """A fresh page with its ports."""
        page = await self.browser.contexts[0].new_page()
        return Scene(
            page=page,
            session=DirectSession(page, self.downloads),
            codes=more.pop("codes", None) or ListedCodes(),  # type: ignore[arg-type]
            clock=Clock(),
            **more,  # type: ignore[arg-type]
        )


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A browser and a driver attached to it."""
    downloads = Path(tempfile.mkdtemp(prefix="pt-downloads-"))
    async with chromium() as address, async_playwright() as driver:
        browser = await driver.chromium.connect_over_cdp(address)
        channel = await browser.new_browser_cdp_session()
        await channel.send(
            "Browser.setDownloadBehavior",
            {"behavior": "allow", "downloadPath": str(downloads), "eventsEnabled": True},
        )
        try:
            yield Stage(browser, downloads)
        finally:
            await browser.close()
            shutil.rmtree(downloads, ignore_errors=True)


class DirectSession:
    """The session port on a plain browser: files land in a folder."""

    def __init__(self, page: Page, folder: Path) -> None:
        self._page = page
        self._folder = folder

    async def screenshot(self, name: str, *, full_page: bool) -> Artifact:
        """A picture of the page."""
        picture = await self._page.screenshot(full_page=full_page)
        return _artifact("screenshot", name or "page.png", picture)

    async def download(self, trigger: Callable[[], Awaitable[None]], timeout_s: float) -> Artifact:
        """Wait for a file that was not there before."""
        before = set(self._folder.iterdir())
        await trigger()
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    new = [p for p in self._folder.iterdir() if p not in before]
                    whole = [p for p in new if not p.name.endswith(".crdownload")]
                    if whole:
                        kept = _artifact("download", whole[0].name, whole[0].read_bytes())
                        whole[0].unlink()
                        return kept
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TaskFailure(Reason.DOWNLOAD_FAILED, "no file arrived") from None

    async def file(self, artifact_id: str) -> File:
        """There is one file, whatever it is asked for by."""
        return File("statement.pdf", "application/pdf", artifact_id.encode())


@dataclass
class ListedCodes:
    """The codes port over a list: each new request, and each refusal, gets the next one."""

    codes: list[str] = field(default_factory=list)
    password: str = PASSWORD
    given: dict[str, str] = field(default_factory=dict)

    async def credential(self, credential_id: str) -> Credential:
        """The one credential there is."""
        return Credential(USERNAME, Secret(self.password), has_totp=True)

    async def code(self, wanted: Wanted) -> Given:
        """The code of a request."""
        if wanted.request_id not in self.given:
            self.given[wanted.request_id] = self._next()
        return self._given(wanted.request_id)

    async def another(self, refused: Given, timeout_s: float) -> Given | None:
        """The next one, while there is one."""
        if not self.codes:
            return None
        self.given[refused.challenge_id] = self._next()
        return self._given(refused.challenge_id)

    def _next(self) -> str:
        return self.codes.pop(0)

    def _given(self, request_id: str) -> Given:
        text = self.given[request_id]
        is_link = text.startswith("http")
        return Given(request_id, Secret("" if is_link else text), Secret(text if is_link else ""))


def _artifact(kind: str, name: str, content: bytes) -> Artifact:
    return Artifact(f"art_{kind}", kind, name, len(content), hashlib.sha256(content).hexdigest())
