"""Where browsers come from: launched for one session, or taken warm from those kept ready.

A browser serves one session and is ended with it: none comes back here, so nothing of one
organisation is ever met by another. Each is born with a proxy of its own that lets nothing pass
until the browser belongs to a session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from libs import errors, ids
from libs.clock import Clock
from libs.secrets import Vault
from services.browser_session.browser import Browser, Look, find_binary
from services.browser_session.cdp import CdpError
from services.browser_session.domain import Options, Session
from services.browser_session.egress import EgressProxy, Way, upstream
from services.browser_session.presence import Hidden, hidden_seal
from services.browser_session.presenting import Presenter
from services.browser_session.settings import BrowserSettings

WARM_FOLDER = "warm"
LOOK_AFTER_S = 5.0
RETRY_S = 10.0
log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Warm:
    """A browser that waits for a session."""

    browser: Browser
    born: float


class Nest:
    """Launches the browsers of this replica and keeps a few of the usual look ready."""

    def __init__(self, settings: BrowserSettings, clock: Clock, vault: Vault) -> None:
        self.own_ports: set[int] = set()
        self.calm: Callable[[], bool] = lambda: True
        self._settings = settings
        self._clock = clock
        self._vault = vault
        self._warm: list[_Warm] = []
        self._wanted = asyncio.Event()
        self._closed = False

    @property
    def warm(self) -> int:
        """How many browsers wait for a session."""
        return len(self._warm)

    async def hatch(self, row: Session, folder: str) -> Browser:
        """A browser for the session, with the session's rules at its way out."""
        look, way = look_of(row.options), self._way(row)
        browser = self._take() if look == USUAL else None
        if browser is None:
            browser = await self._launch(folder, look)
        assert browser.proxy is not None
        browser.proxy.way = way
        return browser

    async def present(
        self, browser: Browser, row: Session, http: aiohttp.ClientSession, timeout_s: float
    ) -> None:
        """Has every page of the browser told what its session asked for."""
        presence = row.options.presence
        if not presence.touches_pages:
            return
        presenter = Presenter(presence, self.hidden(row))
        browser.at_end.append(presenter.close)
        try:
            async with asyncio.timeout(timeout_s):
                await presenter.open(http, browser.cdp_url)
        except (TimeoutError, CdpError) as reason:
            raise errors.Unavailable(
                "the browser did not take the session's settings", retry_after_s=1.0
            ) from reason

    async def keep_warm(self) -> None:
        """Launches what is missing, one at a time, and replaces what has grown old; for ever."""
        while not self._closed:
            await self._recycle()
            self._wanted.clear()
            if len(self._warm) >= self._settings.browser_warm or not self.calm():
                await self._wait(LOOK_AFTER_S)
                continue
            try:
                browser = await self._launch(f"{WARM_FOLDER}-{ids.token(8)}", USUAL)
            except Exception:
                log.exception("no browser could be kept ready")
                await self._wait(RETRY_S)
                continue
            self._warm.append(_Warm(browser, self._clock.monotonic()))
            if self._closed:
                await self._end_warm()
                return
            await self._clock.sleep(self._settings.browser_warm_refill_s)

    async def close(self) -> None:
        """Ends the browsers that nobody took; none is launched ahead any more."""
        self._closed = True
        self._wanted.set()
        await self._end_warm()

    def _take(self) -> Browser | None:
        self._wanted.set()
        while self._warm:
            found = self._warm.pop(0)
            if not found.browser.exited.is_set():
                return found.browser
        return None

    async def _recycle(self) -> None:
        """Ends the warm browsers that are too old, or have ended by themselves."""
        now, oldest_s = self._clock.monotonic(), self._settings.browser_warm_age_s
        stale = [
            one for one in self._warm if now - one.born > oldest_s or one.browser.exited.is_set()
        ]
        self._warm = [one for one in self._warm if one not in stale]
        for one in stale:
            await one.browser.kill()

    async def _end_warm(self) -> None:
        warm, self._warm = self._warm, []
        await asyncio.gather(*(one.browser.kill() for one in warm))

    async def _wait(self, longest_s: float) -> None:
        try:
            async with asyncio.timeout(longest_s):
                await self._wanted.wait()
        except TimeoutError:
            return

    async def _launch(self, folder: str, look: Look) -> Browser:
        proxy = EgressProxy(self.own_ports)
        await proxy.open()
        try:
            browser = await Browser.launch(
                find_binary(self._settings.chromium),
                self._settings.browsers / folder,
                look,
                self._clock,
                self._settings.browser_launch_timeout_s,
                proxy,
            )
        except BaseException:
            await proxy.close()
            raise
        proxy.hide(urlsplit(browser.cdp_url).port or 0)
        return browser

    def hidden(self, row: Session) -> Hidden:
        """What of the session's options is never shown."""
        return Hidden.of(self._vault.open(row.sealed_options, hidden_seal(row.session_id)))

    def _way(self, row: Session) -> Way:
        options = row.options
        behind = None
        if options.proxy_server:
            password = self.hidden(row).proxy_password.reveal()
            behind = upstream.from_text(options.proxy_server, options.proxy_username, password)
        return Way(options.egress, self._settings.allow_private_targets, behind)


def look_of(options: Options) -> Look:
    """What a browser must be started with to serve these options."""
    return Look(
        options.viewport_width,
        options.viewport_height,
        options.locale,
        options.presence.time_zone,
        options.presence.user_agent,
    )


USUAL = look_of(Options())
"""The look of the browsers that are kept ready."""
