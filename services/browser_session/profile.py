"""What a browser knows of its user, taken while it lives and given to the browser that follows it.

Cookies come from the browser as a whole. Local storage is read frame by frame through DOMStorage:
a driver's own idea of it (Playwright's storage_state) forgets every origin that was opened before
the driver attached. It is put back on empty pages of each origin, so that no request leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from libs import errors
from services.browser_session.cdp import CdpConnection, CdpError

PAGE_TIMEOUT_S = 1.0
OPEN_TIMEOUT_S = 5.0
MOST_ORIGINS = 50
LARGEST_ORIGIN_CHARS = 512 * 1024
COOKIE_FIELDS = frozenset(
    "name value domain path secure httpOnly sameSite expires priority sourceScheme sourcePort"
    " partitionKey".split()
)
EMPTY_PAGE = {
    "responseCode": 200,
    "responseHeaders": [{"name": "content-type", "value": "text/html"}],
}
log = logging.getLogger(__name__)

Items = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Profile:
    """Cookies, local storage by origin, and the address of the page that was being acted on."""

    cookies: list[dict[str, Any]] = field(default_factory=list)
    storage: dict[str, Items] = field(default_factory=dict)
    url: str = ""

    def as_bytes(self) -> bytes:
        """The form in which it is sealed."""
        return orjson.dumps({"cookies": self.cookies, "storage": self.storage, "url": self.url})

    @classmethod
    def of(cls, stored: bytes) -> Profile:
        """The profile that `as_bytes` wrote."""
        parts = orjson.loads(stored)
        storage = {
            origin: tuple((key, value) for key, value in items)
            for origin, items in parts["storage"].items()
        }
        return cls(parts["cookies"], storage, parts["url"])

    def __repr__(self) -> str:
        return f"Profile({len(self.cookies)} cookies, {len(self.storage)} origins)"


async def capture(browser: CdpConnection, active_page: str, before: Profile) -> Profile:
    """What the browser knows now. Origins that no frame shows any more keep what they had."""
    cookies = (await browser.send("Storage.getCookies"))["cookies"]
    targets = (await browser.send("Target.getTargets"))["targetInfos"]
    storage, url = dict(before.storage), ""
    for target in targets:
        if target["type"] not in ("page", "iframe"):
            continue
        # A page that shows a dialog answers nothing; what was known of it stays.
        with contextlib.suppress(TimeoutError, CdpError):
            async with asyncio.timeout(PAGE_TIMEOUT_S):
                storage |= await _storage_of(browser, target["targetId"])
        if target["type"] == "page" and (not url or target["targetId"] == active_page):
            url = target["url"]
    kept = sorted(
        ({key: cookie[key] for key in sorted(COOKIE_FIELDS & cookie.keys())} for cookie in cookies),
        key=lambda cookie: (cookie["domain"], cookie["path"], cookie["name"]),
    )
    newest = {origin: storage[origin] for origin in list(storage)[-MOST_ORIGINS:]}
    return Profile(kept, newest, url if url.startswith(("http://", "https://")) else "")


async def _storage_of(browser: CdpConnection, target_id: str) -> dict[str, Items]:
    found: dict[str, Items] = {}
    async with _attached(browser, target_id) as session:
        tree = (await browser.send("Page.getFrameTree", session=session))["frameTree"]
        for origin in sorted(_origins(tree)):
            with contextlib.suppress(CdpError):
                items = await browser.send(
                    "DOMStorage.getDOMStorageItems", {"storageId": _storage_id(origin)}, session
                )
                entries = tuple((key, value) for key, value in items["entries"])
                if sum(len(key) + len(value) for key, value in entries) <= LARGEST_ORIGIN_CHARS:
                    found[origin] = entries
    return found


def _origins(tree: dict[str, Any]) -> set[str]:
    origins = {tree["frame"].get("securityOrigin", "")}
    for child in tree.get("childFrames", ()):
        origins |= _origins(child)
    return {origin for origin in origins if origin.startswith(("http://", "https://"))}


def _storage_id(origin: str) -> dict[str, Any]:
    return {"securityOrigin": origin, "isLocalStorage": True}


@asynccontextmanager
async def _attached(browser: CdpConnection, target_id: str) -> AsyncIterator[str]:
    answer = await browser.send("Target.attachToTarget", {"targetId": target_id, "flatten": True})
    try:
        yield answer["sessionId"]
    finally:
        with contextlib.suppress(CdpError, errors.Unavailable):
            await browser.send("Target.detachFromTarget", {"sessionId": answer["sessionId"]})


async def restore(http: aiohttp.ClientSession, browser_url: str, profile: Profile) -> None:
    """Gives a fresh browser the cookies and the local storage of the profile."""
    async with _Restoring.opened(http, browser_url) as browser:
        if profile.cookies:
            await browser.send("Storage.setCookies", {"cookies": profile.cookies})
        filled = {origin: items for origin, items in profile.storage.items() if items}
        if filled:
            await browser.fill(filled)


class _Restoring:
    """A connection on which every request of one page is answered with an empty page."""

    def __init__(self) -> None:
        self._connection: CdpConnection | None = None
        self._session = ""
        self._page = ""
        self._gone = asyncio.Event()
        self._answers: set[asyncio.Task[Any]] = set()

    @classmethod
    @asynccontextmanager
    async def opened(cls, http: aiohttp.ClientSession, url: str) -> AsyncIterator[_Restoring]:
        restoring = cls()
        restoring._connection = await CdpConnection.open(http, url, on_event=restoring._on_event)
        try:
            yield restoring
        finally:
            await restoring._connection.close()
            await asyncio.gather(*restoring._answers, return_exceptions=True)

    async def send(self, method: str, params: dict[str, Any], session: str = "") -> dict[str, Any]:
        assert self._connection is not None
        return await self._connection.send(method, params, session)

    async def fill(self, storage: dict[str, Items]) -> None:
        """Opens each origin without asking its site, and writes its items."""
        await self.send("Target.setDiscoverTargets", {"discover": True})
        target = (await self.send("Target.createTarget", {"url": "about:blank"}))["targetId"]
        self._page = target
        attach = {"targetId": target, "flatten": True}
        self._session = (await self.send("Target.attachToTarget", attach))["sessionId"]
        await self.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}, self._session)
        for origin, items in storage.items():
            await self.send("Page.navigate", {"url": f"{origin}/"}, self._session)
            for key, value in items:
                item = {"storageId": _storage_id(origin), "key": key, "value": value}
                await self.send("DOMStorage.setDOMStorageItem", item, self._session)
        # The answer comes before the page has gone; until then it would be taken for the user's.
        await self.send("Target.closeTarget", {"targetId": target})
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            await self._gone.wait()

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Target.targetDestroyed" and params["targetId"] == self._page:
            self._gone.set()
        elif method == "Fetch.requestPaused":
            answer = {"requestId": params["requestId"], **EMPTY_PAGE}
            task = asyncio.create_task(self.send("Fetch.fulfillRequest", answer, self._session))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)


async def reopen(http: aiohttp.ClientSession, browser_url: str, url: str) -> str:
    """Opens the address in the browser's first page; answers what came of it, in words."""
    connection = await CdpConnection.open(http, browser_url)
    try:
        targets = (await connection.send("Target.getTargets"))["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        async with asyncio.timeout(OPEN_TIMEOUT_S), _attached(connection, page) as session:
            answer = await connection.send("Page.navigate", {"url": url}, session)
        return answer.get("errorText") or "the last page was opened again"
    except TimeoutError:
        return f"the last page did not answer within {OPEN_TIMEOUT_S:g} s"
    finally:
        await connection.close()
