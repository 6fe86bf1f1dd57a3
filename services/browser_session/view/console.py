"""What pages write to their console, and what went wrong in them, as lines of JSON. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

MOST_LINES = 20_000
LONGEST_TEXT = 4_000


class ConsoleLog:
    """Makes lines of events, up to a number."""

    def __init__(self) -> None:
        self._count = 0

    def take(self, method: str, params: dict[str, Any]) -> bytes:
        """The line that an event makes; empty when it makes none."""
        if method == "Runtime.consoleAPICalled":
            text = " ".join(_said(one) for one in params["args"])
            frames = params.get("stackTrace", {}).get("callFrames", [])
            place = frames[0] if frames else {}
            return self._line(params["timestamp"], params["type"], text, place)
        elif method == "Runtime.exceptionThrown":
            thrown = params["exceptionDetails"]
            said = thrown.get("exception", {}).get("description") or thrown.get("text", "")
            return self._line(params["timestamp"], "exception", said, thrown)
        elif method == "Log.entryAdded":
            entry = params["entry"]
            return self._line(entry["timestamp"], entry["level"], entry["text"], entry)
        return b""

    def remainder(self) -> bytes:
        """The last line: how many more there would have been; empty when there are no more."""
        left_out = self._count - MOST_LINES
        return orjson.dumps({"left_out": left_out}) if left_out > 0 else b""

    def _line(self, at_ms: float, level: str, text: str, place: dict[str, Any]) -> bytes:
        self._count += 1
        if self._count > MOST_LINES:
            return b""
        at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": level, "text": text[:LONGEST_TEXT]}
        if place.get("url"):
            line |= {"url": place["url"], "line": place.get("lineNumber", 0) + 1}
        return orjson.dumps(line)


def _said(argument: dict[str, Any]) -> str:
    if "value" in argument:
        found = argument["value"]
        return found if isinstance(found, str) else orjson.dumps(found).decode()
    return argument.get("description") or argument.get("unserializableValue") or argument["type"]
