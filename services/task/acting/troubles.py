"""From the browser driver's errors to reasons a person understands. Pure."""

from __future__ import annotations

import re

from services.task.domain import Reason, TaskFailure
from services.task.grounding import Purpose
from services.task.snapshot import Element

_PASSING = (
    "execution context was destroyed",
    "cannot find context",
    "frame was detached",
    "because of a navigation",
    "frame has been detached",
    "inspected target navigated",
    "jshandles can be evaluated only",
)
_GONE = ("not attached to the dom", "element is gone", "jshandle is disposed", "node is detached")
_LOST = ("target page, context or browser has been closed", "target closed", "browser closed",
         "connection closed", "target crashed", "page crashed", "has been closed")  # fmt: skip
_NETWORK = {
    "ERR_CONNECTION_REFUSED": "nothing answers there (connection refused)",
    "ERR_NAME_NOT_RESOLVED": "its host name does not exist",
    "ERR_ADDRESS_UNREACHABLE": "its address cannot be reached",
    "ERR_INTERNET_DISCONNECTED": "there is no network",
    "ERR_CONNECTION_RESET": "the site broke the connection off",
    "ERR_CONNECTION_CLOSED": "the site closed the connection",
    "ERR_EMPTY_RESPONSE": "the site answered with nothing",
    "ERR_TOO_MANY_REDIRECTS": "the site redirects in a circle",
    "ERR_CONNECTION_TIMED_OUT": "the site did not answer",
    "ERR_TIMED_OUT": "the site did not answer",
    "ERR_BLOCKED_BY_CLIENT": "the session's rules do not allow this address",
    "ERR_UNSAFE_PORT": "the browser refuses this port",
    "ERR_CERT": "its certificate is not trusted",
    "ERR_SSL": "no secure connection could be made",
    "ERR_ABORTED": "the address is a download or was cut short, not a page",
}


def is_passing(error: Exception) -> bool:
    """Whether the page was only in the middle of a navigation."""
    return _says(error, _PASSING)


def is_detached(error: Exception) -> bool:
    """Whether the page replaced the element meanwhile."""
    return _says(error, _GONE) or is_passing(error)


def is_lost(error: BaseException) -> bool:
    """Whether the page or the connection to it is gone."""
    return _says(error, _LOST)


def is_crashed(error: BaseException) -> bool:
    """Whether the page's own process died, in a browser that lives."""
    return _says(error, ("target crashed", "page crashed"))


def explained(error: Exception, element: Element, purpose: Purpose) -> Exception:
    """Why an element could not be used."""
    text = str(error)
    if is_lost(error):
        return error
    because = "it did not become ready in time"
    if covering := re.search(r"<([^>]{0,120})>.*?intercepts pointer events", text):
        because = f"it is covered by <{covering[1]}>"
    elif "not enabled" in text or "is disabled" in text:
        because = "it is disabled"
    elif "not editable" in text or "readonly" in text:
        because = "it cannot be edited"
    elif "not visible" in text:
        because = "it is not visible"
    elif "not stable" in text:
        because = "it does not stop moving"
    elif "Malformed value" in text:
        because = f"a field of type {element.type} does not take this value"
    elif "Unknown key" in text:
        because = "there is no such key"
    elif "Timeout" not in text:
        because = text.splitlines()[0].split(": ", 1)[-1][:200]
    return TaskFailure(Reason.TARGET_NOT_READY, f"could not {purpose} {element}: {because}")


def not_opened(error: Exception, url: str, timeout_ms: int) -> Exception:
    """Why an address could not be opened."""
    text = str(error)
    if is_lost(error):
        return error
    if "Timeout" in text:
        why = f"it did not load within {timeout_ms / 1000:g} s"
    else:
        why = next((said for code, said in _NETWORK.items() if code in text), "")
        code = re.search(r"net::(ERR_\w+)", text)
        why = why or (code[1] if code else text.splitlines()[0][:200])
    return TaskFailure(Reason.PAGE_NOT_LOADED, f"could not open {shown(url)}: {why}")


def shown(url: str) -> str:
    """An address fit to be recorded: without user, password, query or fragment."""
    bare = re.sub(r"//[^/@]*@", "//", url)
    return re.split(r"[?#]", bare, maxsplit=1)[0][:300]


def _says(error: BaseException, phrases: tuple[str, ...]) -> bool:
    text = str(error).casefold()
    return any(phrase in text for phrase in phrases)
