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
from services.browser_session.cdp import CdpConnection, CdpError
from services.browser_session.cdp_policy import ACTIVE_PAGE, SAVE_PROFILE

TALLEST_PX = 16_000


async def screenshot(
    http: aiohttp.ClientSession, cdp_url: str, token: Secret, full_page: bool
) -> bytes:
    """A PNG of the active page; FailedPrecondition when no page is open."""
    headers = {"authorization": f"Bearer {token.reveal()}"}
    connection = await CdpConnection.open(http, cdp_url, headers)
    try:
        page = await _attach(connection)
        answer = await connection.send(
            "Page.captureScreenshot",
            {"format": "png", **(await _whole_page(connection, page) if full_page else {})},
            page,
        )
        return base64.b64decode(answer["data"])
    except CdpError as reason:
        raise errors.FailedPrecondition(
            f"the page could not be captured: {reason}", reason="CAPTURE_FAILED"
        ) from reason
    finally:
        await connection.close()


async def save_profile(http: aiohttp.ClientSession, cdp_url: str, token: Secret) -> None:
    """Returns when what the browser knows of its user has been written down."""
    headers = {"authorization": f"Bearer {token.reveal()}"}
    connection = await CdpConnection.open(http, cdp_url, headers)
    try:
        await connection.send(SAVE_PROFILE)
    finally:
        await connection.close()


async def _attach(connection: CdpConnection) -> str:
    """A CDP session with the active page, or with any page when the active one was closed."""
    active = (await connection.send(ACTIVE_PAGE))["targetId"]
    targets = (await connection.send("Target.getTargets"))["targetInfos"]
    pages = [target["targetId"] for target in targets if target["type"] == "page"]
    if not pages:
        raise errors.FailedPrecondition("no page is open in the session", reason="NO_PAGE")
    chosen = active if active in pages else pages[0]
    answer = await connection.send("Target.attachToTarget", {"targetId": chosen, "flatten": True})
    return answer["sessionId"]


async def _whole_page(connection: CdpConnection, page: str) -> dict[str, Any]:
    size = (await connection.send("Page.getLayoutMetrics", session=page))["cssContentSize"]
    clip = {
        "x": 0,
        "y": 0,
        "width": size["width"],
        "height": min(size["height"], TALLEST_PX),
        "scale": 1,
    }
    return {"captureBeyondViewport": True, "clip": clip}
