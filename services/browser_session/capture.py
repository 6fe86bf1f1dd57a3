"""Screenshots: what the session's active page looks like now, as PNG.

Speaks through the CDP gateway of the replica that owns the browser, so that any replica can take
one.
"""

from __future__ import annotations

import base64
from typing import Any

import aiohttp

from libs import errors
from libs.secrets import Secret
from services.browser_session.cdp import CdpConnection
from services.browser_session.cdp_policy import SAVE_PROFILE
from services.browser_session.view.page import PAGE_REFUSED, Page, active_page

TALLEST_PX = 16_000


async def screenshot(
    http: aiohttp.ClientSession, cdp_url: str, token: Secret, full_page: bool
) -> bytes:
    """A PNG of the active page; FailedPrecondition when no page is open."""
    try:
        async with active_page(http, cdp_url, token) as page:
            clip = await _whole_page(page) if full_page else {}
            answer = await page.send("Page.captureScreenshot", {"format": "png", **clip})
            return base64.b64decode(answer["data"])
    except errors.FailedPrecondition as reason:
        if reason.reason != PAGE_REFUSED:
            raise
        raise errors.FailedPrecondition(
            f"the page could not be captured: {reason.message}", reason="CAPTURE_FAILED"
        ) from reason


async def save_profile(http: aiohttp.ClientSession, cdp_url: str, token: Secret) -> None:
    """Returns when what the browser knows of its user has been written down."""
    headers = {"authorization": f"Bearer {token.reveal()}"}
    connection = await CdpConnection.open(http, cdp_url, headers)
    try:
        await connection.send(SAVE_PROFILE)
    finally:
        await connection.close()


async def _whole_page(page: Page) -> dict[str, Any]:
    size = (await page.send("Page.getLayoutMetrics"))["cssContentSize"]
    clip = {
        "x": 0,
        "y": 0,
        "width": size["width"],
        "height": min(size["height"], TALLEST_PX),
        "scale": 1,
    }
    return {"captureBeyondViewport": True, "clip": clip}
