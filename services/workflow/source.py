"""Definition text: YAML or JSON into plain values, with line numbers, within limits.

Only the JSON types of YAML are known: no tags, no dates, no merge keys; "yes" and "on" are texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 100_000
LARGEST_INTEGER = 2**53

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$")
_WORDS = {"null": None, "~": None, "": None, "true": True, "false": False}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class SourceError(ValueError):
    """The text cannot be read; the message says where and why."""


@dataclass
class Parsed:
    """A value and the line on which each of its parts begins, by path."""

    value: Any
    lines: dict[str, int] = field(default_factory=dict)

    def line(self, path: str) -> int | None:
        """The line of a part, or of the nearest part around it."""
        while path not in self.lines:
            cut = max(path.rfind("."), path.rfind("["))
            if cut < 0:
                return self.lines.get("")
            path = path[:cut]
        return self.lines[path]


def parse(text: str) -> Parsed:
    """Reads a definition. Raises SourceError."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise SourceError(f"is larger than {MAX_BYTES} bytes")
    parsed = _parse_json(text) if text.lstrip()[:1] in ("{", "[") else _parse_yaml(text)
    check_value(parsed.value)
    return parsed


def _parse_json(text: str) -> Parsed:
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        try:
            # YAML's own short form, such as {name: x}, begins like JSON.
            return _parse_yaml(text)
        except SourceError:
            where = f"line {error.lineno}, column {error.colno}: "
            raise SourceError(where + error.msg) from None
    except RecursionError:
        raise SourceError(f"is nested deeper than {MAX_DEPTH} levels") from None
    try:
        # Only for the line numbers: between tokens a tab means a space.
        return Parsed(value, _Reader(text.replace("\t", " ")).read().lines)
    except (yaml.YAMLError, SourceError):
        return Parsed(value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for key, value in pairs:
        if key in entries:
            raise SourceError(f"{key[:80]!r} is there twice")
        entries[key] = value
    return entries


def _no_constant(word: str) -> Any:
    raise SourceError(f"{word} is not a number JSON knows")


def _parse_yaml(text: str) -> Parsed:
    try:
        return _Reader(text).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SourceError(f"{where}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise SourceError(str(error).splitlines()[0][:200]) from None
    except UnicodeEncodeError:
        raise SourceError("is not valid Unicode text") from None


def check_value(value: Any) -> None:
    """Holds a value that came as a message to the same limits as a text. Raises SourceError."""
    nodes, level, depth = 0, [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise SourceError(f"is nested deeper than {MAX_DEPTH} levels")
        nodes += len(level)
        if nodes > MAX_NODES:
            raise SourceError(f"has more than {MAX_NODES} values")
        for plain in level:
            _check_plain(plain)
        level = [inner for outer in level for inner in _inside(outer)]


def _check_plain(value: Any) -> None:
    if isinstance(value, str) and not _is_unicode(value):
        raise SourceError("has a text that is not valid Unicode, or a NUL in it")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise SourceError("has a number beyond 2^53, which JSON does not carry; write it as text")
    if isinstance(value, float) and value - value != 0:
        raise SourceError("has a number that is not finite")


def _is_unicode(text: str) -> bool:
    if "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


@dataclass
class _Anchor:
    value: Any
    nodes: int
    depth: int


class _Reader:
    """Builds the value from the parser's events, so that limits hold before memory is used."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        self._lines: dict[str, int] = {}
        self._anchors: dict[str, _Anchor] = {}
        self._nodes = 0

    def read(self) -> Parsed:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise SourceError("is empty")
        value, _ = self._value(next(self._events), "", 1)
        next(self._events)
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            raise SourceError("has more than one document")
        return Parsed(value, self._lines)

    def _value(self, event: Any, path: str, depth: int) -> tuple[Any, int]:
        """A value and how deep it goes."""
        line = event.start_mark.line + 1
        self._lines[path] = line
        self._count(1, line)
        if depth > MAX_DEPTH:
            raise SourceError(f"line {line}: is nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth, line)
        if getattr(event, "tag", None) and event.tag != "!":
            raise SourceError(f"line {line}: tags such as {event.tag!r} are not allowed")
        before = self._nodes
        if isinstance(event, yaml.ScalarEvent):
            value, deep = _scalar(event), 1
        elif isinstance(event, yaml.SequenceStartEvent):
            value, deep = self._sequence(path, depth)
        else:
            value, deep = self._mapping(path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchor(value, self._nodes - before + 1, deep)
        return value, deep

    def _alias(self, event: yaml.AliasEvent, depth: int, line: int) -> tuple[Any, int]:
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            raise SourceError(f"line {line}: there is no anchor {event.anchor!r} before this")
        # Counted as if written out: a bomb of aliases in aliases stops here.
        self._count(anchor.nodes, line)
        if depth + anchor.depth - 1 > MAX_DEPTH:
            raise SourceError(f"line {line}: is nested deeper than {MAX_DEPTH} levels")
        return anchor.value, anchor.depth

    def _sequence(self, path: str, depth: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        deepest = 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item, deep = self._value(event, f"{path}[{len(items)}]", depth + 1)
            items.append(item)
            deepest = max(deepest, deep)
        return items, deepest + 1

    def _mapping(self, path: str, depth: int) -> tuple[dict[str, Any], int]:
        entries: dict[str, Any] = {}
        deepest = 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent) or event.tag:
                raise SourceError(f"line {line}: the names of a mapping must be texts")
            key = event.value
            if key in entries:
                raise SourceError(f"line {line}: {key[:80]!r} is there twice")
            if key == "<<" and not event.style:
                raise SourceError(f"line {line}: merge keys are not allowed")
            place = f"{path}.{key}" if path else key
            entries[key], deep = self._value(next(self._events), place, depth + 1)
            self._lines[place] = line
            deepest = max(deepest, deep)
        return entries, deepest + 1

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise SourceError(f"line {line}: has more than {MAX_NODES} values")


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = event.value
    if event.style:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER.match(text) or len(text) > 300:
        return text
    try:
        number = int(text)
    except ValueError:
        number = float(text)
    # An account number of twenty digits is a text to whoever writes it.
    return text if abs(number) > LARGEST_INTEGER else number
