"""Opening an address in a session's active page and waiting until it has loaded."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from libs import errors
from libs.secrets import Secret
from services.browser_session.cdp_policy import forbidden_scheme
from services.browser_session.view.page import Content, active_page, content

LONGEST_URL = 8192


async def open_url(
    http: aiohttp.ClientSession, cdp_url: str, token: Secret, url: str, timeout_s: float
) -> tuple[Content, int]:
    """What the page holds once it has loaded, and its HTTP status (0: it has none).

    Raises FailedPrecondition when it cannot be opened, DeadlineExceeded when it takes too long.
    """
    check_url(url)
    events = _Load()
    async with active_page(http, cdp_url, token, events.take) as page:
        await page.send("Page.enable")
        await page.send("Network.enable")
        try:
            async with asyncio.timeout(timeout_s):
                answer = await page.send("Page.navigate", {"url": url})
                if problem := answer.get("errorText"):
                    raise errors.FailedPrecondition(
                        f"the page could not be opened: {problem}", reason="PAGE_NOT_LOADED"
                    )
                if answer.get("loaderId"):
                    await events.loaded.wait()
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"the page did not load within {timeout_s:g} s", reason="PAGE_NOT_LOADED"
            ) from None
        return await content(page), events.status.get(answer.get("loaderId", ""), 0)


def check_url(url: str) -> None:
    """Raises Invalid unless it is an address that a session may open."""
    if not url or len(url) > LONGEST_URL:
        raise errors.Invalid("url", f"is required, at most {LONGEST_URL} characters")
    if ":" not in url or forbidden_scheme(url):
        raise errors.Invalid("url", "must be an http(s) URL")


class _Load:
    """What the browser tells about the load of a page."""

    def __init__(self) -> None:
        self.loaded = asyncio.Event()
        self.status: dict[str, int] = {}

    def take(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self.loaded.set()
        elif method == "Network.responseReceived" and params.get("type") == "Document":
            self.status.setdefault(params["loaderId"], params["response"]["status"])
