"""What a client of the CDP gateway may say to the browser. Pure: one frame in, one verdict out.

The gateway's clients drive pages. They may not end or crash the browser, decide where downloads
land, open the host's files, or reach the protocol through a side door that hides a command inside
another message.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

REFUSED = frozenset(
    {
        "Browser.close",
        "Browser.crash",
        "Browser.crashGpuProcess",
        "Browser.executeBrowserCommand",
        # Names a file of this machine, which the page could then read and send away.
        "DOM.setFileInputFiles",
        "Page.crash",
        "Target.exposeDevToolsProtocol",
        "Target.sendMessageToTarget",
        "Target.setRemoteLocations",
    }
)
NAVIGATIONS = frozenset(
    {
        "Fetch.continueRequest",
        "Network.loadNetworkResource",
        "Page.navigate",
        "Target.createTarget",
    }
)
# What would give a context of pages another way out than the session's own.
WAYS_OUT = frozenset({"proxyServer", "proxyBypassList", "originsWithUniversalNetworkAccess"})
DELIBERATE = frozenset(
    {
        "Page.bringToFront",
        "Page.navigate",
        "Page.navigateToHistoryEntry",
        "Page.reload",
    }
)
ACTIVE_PAGE = "Podium.activePage"
SAVE_PROFILE = "Podium.saveProfile"
AWAIT_WHEEL = "Podium.awaitWheel"
OPEN_SCHEMES = frozenset({"http", "https", "about", "data", "blob"})
SCHEME = re.compile(r"^[\x00-\x20]*([a-zA-Z][a-zA-Z0-9+.\-]*):")
NOT_ALLOWED = -32000
NOT_JSON = -32700


@dataclass(frozen=True)
class Verdict:
    """Either a frame for the browser or an answer for the client; exactly one is set.

    `drives` names the CDP session of the page the client deliberately acts on, if it does. `acts`:
    it does something in a page. `saves`: the answer is due when the session's profile has been
    written down. `rests`: it is due when nobody holds the session's wheel. `refused`: it may not.
    """

    forward: str | None = None
    reply: str | None = None
    drives: str = ""
    acts: bool = False
    saves: bool = False
    rests: bool = False
    refused: bool = False


def judge(
    frame: str, downloads: str, active_page: str = "", only: frozenset[str] | None = None
) -> Verdict:
    """Decides on one frame of a client.

    `downloads` is where the session's downloads go; `active_page` is the target id answered to
    `Podium.activePage`, which like the other commands of that name is ours and not the browser's.
    `only`: the commands that this client may use at all.

    The frame is written anew from what was understood, so that the browser cannot read it in
    another way than we did (a method name given twice, or spelled with escapes).
    """
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        return Verdict(reply=_refusal({}, NOT_JSON, "the frame is not JSON"))
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        return Verdict(reply=_refusal({}, NOT_JSON, "the frame is not a command"))
    method = message["method"]
    params = message.get("params")
    why = _refused(method, params, only)
    if why:
        return Verdict(reply=_refusal(message, NOT_ALLOWED, why), refused=True)
    if method == "Browser.setDownloadBehavior":
        message["params"] = download_behavior(downloads, params)
    if method == "Page.setDownloadBehavior":
        return Verdict(reply=_answer(message, result={}))
    if method == ACTIVE_PAGE:
        return Verdict(reply=_answer(message, result={"targetId": active_page}))
    if method == SAVE_PROFILE:
        return Verdict(reply=_answer(message, result={}), saves=True)
    if method == AWAIT_WHEEL:
        return Verdict(reply=_answer(message, result={}), rests=True)
    acts = is_deliberate(method)
    drives = message.get("sessionId", "") if acts else ""
    return Verdict(
        forward=json.dumps(message, separators=(",", ":")), drives=str(drives), acts=acts
    )


def _refused(method: str, params: object, only: frozenset[str] | None) -> str:
    """Why a command may not be used here; empty when it may."""
    if only is not None and method not in only:
        return f"{method} is not allowed with this right"
    # Tethering opens ports on this machine.
    if method in REFUSED or method.startswith("Tethering."):
        return f"{method} is not allowed here"
    if not isinstance(params, dict):
        return ""
    if method in NAVIGATIONS and (scheme := forbidden_scheme(params.get("url"))):
        return f"pages of the scheme {scheme!r} may not be opened"
    if method == "Target.createBrowserContext" and any(params.get(name) for name in WAYS_OUT):
        return "a context of pages has no way out but the session's own"
    if method == "Input.dispatchDragEvent" and _names_files(params.get("data")):
        return "files of this machine may not be dragged into a page"
    return ""


def _names_files(dragged: object) -> bool:
    return isinstance(dragged, dict) and bool(dragged.get("files"))


def is_deliberate(method: str) -> bool:
    """Whether the command acts on a page, rather than looking at it or listening to it."""
    return method.startswith("Input.") or method in DELIBERATE


def attached_page(frame: str) -> tuple[str, str] | None:
    """The (CDP session, target) that a frame of the browser says was attached, if it is a page."""
    if '"Target.attachedToTarget"' not in frame[:80]:
        return None
    params = json.loads(frame).get("params", {})
    target = params.get("targetInfo", {})
    if target.get("type") != "page":
        return None
    return params["sessionId"], target["targetId"]


def download_behavior(downloads: str, asked: object = None) -> dict[str, Any]:
    """The one download behaviour of a session: kept under a random name, and reported."""
    params: dict[str, Any] = {
        "behavior": "allowAndName",
        "downloadPath": downloads,
        "eventsEnabled": True,
    }
    if isinstance(asked, dict) and "browserContextId" in asked:
        params["browserContextId"] = asked["browserContextId"]
    return params


def forbidden_scheme(url: object) -> str:
    """The scheme of the address if it may not be opened, else nothing.

    Browsers drop tabs and line ends anywhere in an address, and what is blank before it.
    """
    found = SCHEME.match(re.sub(r"[\t\r\n]", "", url)) if isinstance(url, str) else None
    if found is None or found.group(1).lower() in OPEN_SCHEMES:
        return ""
    return found.group(1).lower()


def _refusal(message: dict[str, Any], code: int, why: str) -> str:
    return _answer(message, error={"code": code, "message": why})


def _answer(message: dict[str, Any], **outcome: object) -> str:
    reply = {key: message[key] for key in ("id", "sessionId") if key in message}
    return json.dumps({**reply, **outcome})
