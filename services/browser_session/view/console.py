"""What pages write to their console, and what went wrong in them, as lines of JSON. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

MOST_LINES = 20_000
LONGEST_TEXT = 4_000


class ConsoleLog:
    """The lines so far."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self.left_out = 0

    def take(self, method: str, params: dict[str, Any]) -> None:
        """Adds what an event says."""
        if method == "Runtime.consoleAPICalled":
            text = " ".join(_said(one) for one in params["args"])
            frames = params.get("stackTrace", {}).get("callFrames", [])
            place = frames[0] if frames else {}
            self._add(params["timestamp"], params["type"], text, place)
        elif method == "Runtime.exceptionThrown":
            thrown = params["exceptionDetails"]
            said = thrown.get("exception", {}).get("description") or thrown.get("text", "")
            self._add(params["timestamp"], "exception", said, thrown)
        elif method == "Log.entryAdded":
            entry = params["entry"]
            self._add(entry["timestamp"], entry["level"], entry["text"], entry)

    def document(self) -> bytes:
        """All lines; the last says how many more there were, if there were."""
        lines = list(self._lines)
        if self.left_out:
            lines.append(orjson.dumps({"left_out": self.left_out}))
        return b"".join(line + b"\n" for line in lines)

    def _add(self, at_ms: float, level: str, text: str, place: dict[str, Any]) -> None:
        if len(self._lines) >= MOST_LINES:
            self.left_out += 1
            return
        at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": level, "text": text[:LONGEST_TEXT]}
        if place.get("url"):
            line |= {"url": place["url"], "line": place.get("lineNumber", 0) + 1}
        self._lines.append(orjson.dumps(line))


def _said(argument: dict[str, Any]) -> str:
    if "value" in argument:
        found = argument["value"]
        return found if isinstance(found, str) else orjson.dumps(found).decode()
    return argument.get("description") or argument.get("unserializableValue") or argument["type"]
