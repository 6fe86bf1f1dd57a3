"""One page of a session, spoken to for the length of a call, whichever replica has the browser."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from libs import errors
from libs.secrets import Secret
from services.browser_session.cdp import CdpConnection, CdpError
from services.browser_session.cdp_policy import ACTIVE_PAGE

PAGE_REFUSED = "PAGE_REFUSED"
OnEvent = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Page:
    """A CDP session with one page."""

    connection: CdpConnection
    session: str
    target_id: str

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Sends a command to the page; CdpError when the browser refuses it."""
        return await self.connection.send(method, params, self.session)


@asynccontextmanager
async def active_page(
    http: aiohttp.ClientSession, cdp_url: str, token: Secret, on_event: OnEvent | None = None
) -> AsyncIterator[Page]:
    """The session's active page, or any page when that was closed.

    Raises FailedPrecondition when no page is open or the browser refuses what is asked inside.
    """
    headers = {"authorization": f"Bearer {token.reveal()}"}
    connection = await CdpConnection.open(http, cdp_url, headers, on_event)
    try:
        yield await attach(connection)
    except CdpError as reason:
        raise errors.FailedPrecondition(
            f"the page did not do it: {reason}", reason=PAGE_REFUSED
        ) from reason
    finally:
        await connection.close()


async def attach(connection: CdpConnection, active: str = "") -> Page:
    """A CDP session with the active page, or with any page when the active one was closed."""
    active = active or (await connection.send(ACTIVE_PAGE))["targetId"]
    targets = (await connection.send("Target.getTargets"))["targetInfos"]
    pages = [target["targetId"] for target in targets if target["type"] == "page"]
    if not pages:
        raise errors.FailedPrecondition("no page is open in the session", reason="NO_PAGE")
    chosen = active if active in pages else pages[0]
    answer = await connection.send("Target.attachToTarget", {"targetId": chosen, "flatten": True})
    return Page(connection, answer["sessionId"], chosen)


@dataclass(frozen=True)
class Content:
    """What a page holds."""

    url: str
    title: str
    html: str
    text: str


READ = """JSON.stringify([location.href, document.title,
  (document.doctype ? new XMLSerializer().serializeToString(document.doctype) + "\\n" : "")
  + (document.documentElement ? document.documentElement.outerHTML : ""),
  document.body ? document.body.innerText : ""])"""


async def content(page: Page) -> Content:
    """Address, title, document and visible text of a page."""
    world = await _world(page)
    answer = await page.send(
        "Runtime.evaluate", {"expression": READ, "returnByValue": True, "contextId": world}
    )
    return Content(*json.loads(answer["result"]["value"]))


async def _world(page: Page) -> int:
    """A world of our own in the page: its scripts cannot see or change what we do there."""
    frame = (await page.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
    made = await page.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "podium"})
    return made["executionContextId"]


async def evaluate(page: Page, expression: str, timeout_s: float) -> Any:
    """The value of a JavaScript expression in the page, awaited; as JSON knows it.

    Raises FailedPrecondition with what the script threw.
    """
    answer = await page.send(
        "Runtime.evaluate",
        {
            "expression": expression,
            "awaitPromise": True,
            "returnByValue": True,
            "userGesture": True,
            "timeout": round(timeout_s * 1000),
        },
    )
    if thrown := answer.get("exceptionDetails"):
        said = thrown.get("exception", {}).get("description") or thrown.get("text", "")
        raise errors.FailedPrecondition(
            f"the script failed: {said.splitlines()[0][:500] if said else 'it threw'}",
            reason="SCRIPT_FAILED",
        )
    return answer["result"].get("value")


PAPERS_IN = {"": (8.27, 11.69), "a4": (8.27, 11.69), "letter": (8.5, 11.0), "legal": (8.5, 14.0)}


async def pdf(page: Page, paper: str, landscape: bool, background: bool) -> bytes:
    """The page as it would be printed; Invalid for a paper nobody has."""
    if paper.lower() not in PAPERS_IN:
        raise errors.Invalid("paper", f"must be one of {', '.join(filter(None, PAPERS_IN))}")
    width, height = PAPERS_IN[paper.lower()]
    answer = await page.send(
        "Page.printToPDF",
        {
            "paperWidth": width,
            "paperHeight": height,
            "landscape": landscape,
            "printBackground": background,
            "preferCSSPageSize": not paper,
        },
    )
    return base64.b64decode(answer["data"])
