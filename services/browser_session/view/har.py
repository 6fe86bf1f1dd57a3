"""What a browser tells of its network, as an HTTP archive (HAR 1.2). Pure.

What lets somebody act as the user is struck out: credentials in headers, cookies, what was posted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

News = dict[str, Any]
"""An entry of the archive with its number; a later one of the same number takes its place."""
OURS = ("_number", "_began", "_answered")
MOST_ENTRIES = 10_000
STRUCK_OUT = "(redacted)"
SECRET_HEADERS = frozenset(
    {"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key", "x-csrf-token"}
)
SEEN = frozenset(
    {
        "Network.requestWillBeSent",
        "Network.responseReceived",
        "Network.loadingFinished",
        "Network.loadingFailed",
    }
)


class HarLog:
    """Makes entries of events as they go on."""

    def __init__(self) -> None:
        self._open: dict[str, dict[str, Any]] = {}
        self._count = 0
        self._left_out = 0
        self._news: list[News] = []

    def take(self, method: str, params: dict[str, Any]) -> list[News]:
        """The entries that an event makes or changes, as they now are."""
        if method in SEEN:
            self._follow(method, params)
        news, self._news = self._news, []
        return news

    def remainder(self) -> list[News]:
        """What is to be said at the end: how many entries there are not."""
        return [{"left_out": self._left_out}] if self._left_out else []

    def _follow(self, method: str, params: dict[str, Any]) -> None:
        request_id = params["requestId"]
        if method == "Network.requestWillBeSent":
            before = self._open.get(request_id)
            if before is not None and "redirectResponse" in params:
                _answered(before, params["redirectResponse"], params["timestamp"])
                self._end(request_id, params["timestamp"], before["response"].get("_size", 0))
            self._begin(request_id, params)
            return
        entry = self._open.get(request_id)
        if entry is None:
            return
        if method == "Network.responseReceived":
            _answered(entry, params["response"], params["timestamp"])
            self._tell(entry)
        elif method == "Network.loadingFinished":
            self._end(request_id, params["timestamp"], int(params["encodedDataLength"]))
        else:
            entry["response"]["_error"] = params.get("errorText", "failed")
            self._end(request_id, params["timestamp"], 0)

    def _tell(self, entry: dict[str, Any]) -> None:
        shown = {key: item for key, item in entry.items() if key not in OURS}
        self._news.append({"number": entry["_number"], "entry": shown})

    def _begin(self, request_id: str, params: dict[str, Any]) -> None:
        request = params["request"]
        if request["url"].startswith("data:"):
            return
        if self._count >= MOST_ENTRIES:
            self._left_out += 1
            return
        self._count += 1
        started = datetime.fromtimestamp(params["wallTime"], UTC)
        entry = self._open[request_id] = {
            "_number": self._count,
            "_began": params["timestamp"],
            "_answered": None,
            "startedDateTime": started.isoformat(timespec="milliseconds"),
            "time": 0,
            "request": _request(request),
            "response": _no_response(),
            "cache": {},
            "timings": {"send": 0, "wait": 0, "receive": 0},
            "_resourceType": str(params.get("type", "")).lower(),
        }
        self._tell(entry)

    def _end(self, request_id: str, at: float, size: int) -> None:
        entry = self._open.pop(request_id)
        began, answered = entry["_began"], entry["_answered"] or at
        entry["time"] = _ms(at - began)
        wait = _ms(answered - began)
        entry["timings"] = {"send": 0, "wait": wait, "receive": _ms(at - answered)}
        entry["response"]["bodySize"] = size
        self._tell(entry)


def archive(news: Iterable[News], version: str) -> dict[str, Any]:
    """The whole archive; requests that were under way are in it as far as they came."""
    latest: dict[int, dict[str, Any]] = {}
    comment = ""
    for one in news:
        if "left_out" in one:
            comment = f"{one['left_out']} requests were left out"
        else:
            latest[one["number"]] = one["entry"]
    entries = sorted(latest.values(), key=lambda entry: entry["startedDateTime"])
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "podium", "version": version},
            "pages": [],
            "entries": entries,
            "comment": comment,
        }
    }


def _ms(seconds: float) -> float:
    return round(max(0.0, seconds) * 1000, 3)


def _request(request: dict[str, Any]) -> dict[str, Any]:
    url = request["url"] + request.get("urlFragment", "")
    query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    found = {
        "method": request["method"],
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _headers(request.get("headers", {})),
        "queryString": [{"name": name, "value": text} for name, text in query],
        "headersSize": -1,
        "bodySize": len(request.get("postData", "")),
    }
    if request.get("hasPostData"):
        kind = request.get("headers", {}).get("Content-Type", "")
        found["postData"] = {"mimeType": kind, "text": STRUCK_OUT}
    return found


def _no_response() -> dict[str, Any]:
    return {
        "status": 0,
        "statusText": "",
        "httpVersion": "",
        "cookies": [],
        "headers": [],
        "content": {"size": 0, "mimeType": "x-unknown"},
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": -1,
    }


def _answered(entry: dict[str, Any], response: dict[str, Any], at: float) -> None:
    headers = response.get("headers", {})
    location = next((text for name, text in headers.items() if name.lower() == "location"), "")
    entry["_answered"] = at
    entry["request"]["httpVersion"] = response.get("protocol", "")
    entry["response"] = {
        "status": response["status"],
        "statusText": response.get("statusText", ""),
        "httpVersion": response.get("protocol", ""),
        "cookies": [],
        "headers": _headers(headers),
        "content": {
            "size": int(response.get("encodedDataLength", 0)),
            "mimeType": response.get("mimeType", ""),
        },
        "redirectURL": location,
        "headersSize": -1,
        "bodySize": -1,
    }
    if response.get("remoteIPAddress"):
        entry["serverIPAddress"] = response["remoteIPAddress"]


def _headers(headers: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"name": name, "value": STRUCK_OUT if name.lower() in SECRET_HEADERS else text}
        for name, text in headers.items()
    ]
