"""From the words on a page to the types of a JSON schema. Pure."""

from __future__ import annotations

import re
from typing import Any

_TRUE = frozenset("yes true on y ✓ ✔ ☑ checked enabled active available".split()) | {"in stock"}
_FALSE = frozenset("no false off n ✗ ✘ ☐ unchecked disabled inactive unavailable".split()) | {
    "out of stock"
}
_LINKS = frozenset("url link href uri website".split())


class Unreadable(Exception):
    """The words cannot be taken for this type; the message says why."""


def coerce(words: str, href: str, schema: dict[str, Any], name: str = "") -> Any:
    """`words` as the schema wants it; raises Unreadable when they are something else."""
    types = types_of(schema)
    if not words.strip() and not href:
        if "null" in types:
            return None
        if "string" not in types:
            raise Unreadable("it is empty")
    if "string" in types or not types:
        plain = _text(words, href, schema, name)
        return _as_listed(plain, schema)
    for kind, read in (("integer", _integer), ("number", number), ("boolean", _boolean)):
        if kind in types and not (kind == "integer" and "number" in types):
            return read(words)
    raise Unreadable(f"a single value cannot be {' or '.join(sorted(types))}")


def types_of(schema: dict[str, Any]) -> set[str]:
    """The types a schema allows; guessed from its keywords when it does not say."""
    said = schema.get("type")
    if isinstance(said, str):
        return {said}
    if isinstance(said, list):
        return set(said)
    if "properties" in schema:
        return {"object"}
    if "items" in schema:
        return {"array"}
    return set()


def number(words: str) -> float | int:
    """12.5 from "€ 12,50", 1234 from "1,234", -3 from "(3)", 40 from "40 %"."""
    found = re.findall(r"[-−+]?\s?\d[\d.,'’\u00a0\u202f ]*", words)
    if len(found) != 1:
        raise Unreadable(f'"{words}" is not one number')
    digits = re.sub(r"['’\u00a0\u202f\s]", "", found[0]).rstrip(".,").replace("−", "-")
    value = float(_decimal_point(digits))
    before = words.split(found[0], 1)[0]
    if value > 0 and (
        (re.search(r"\(\s*\D*$", before) and ")" in words) or re.search(r"[-−]\D?$", before)
    ):
        value = -value
    return int(value) if value.is_integer() else value


def _decimal_point(digits: str) -> str:
    """Tell thousand separators from the decimal one."""
    dot, comma = digits.rfind("."), digits.rfind(",")
    if dot >= 0 and comma >= 0:
        thousands, decimal = (",", ".") if dot > comma else (".", ",")
        return digits.replace(thousands, "").replace(decimal, ".")
    mark = "," if comma >= 0 else "."
    pieces = digits.split(mark)
    grouped = all(len(piece) == 3 for piece in pieces[1:]) and pieces[0].lstrip("+-") not in {
        "",
        "0",
    }
    if len(pieces) > 2 or (mark == "," and len(pieces) == 2 and grouped):
        if not grouped:
            raise Unreadable(f'"{digits}" is not a number')
        return "".join(pieces)
    return digits.replace(mark, ".")


def _integer(words: str) -> int:
    value = number(words)
    if isinstance(value, float):
        raise Unreadable(f'"{words}" is not a whole number')
    return value


def _boolean(words: str) -> bool:
    said = words.strip().casefold()
    if said in _TRUE:
        return True
    if said in _FALSE:
        return False
    raise Unreadable(f'"{words}" is neither yes nor no')


def _text(words: str, href: str, schema: dict[str, Any], name: str) -> str:
    last = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold())[-1]
    if href and (schema.get("format") in {"uri", "uri-reference"} or last in _LINKS):
        return href
    return " ".join(words.split())


def _as_listed(words: str, schema: dict[str, Any]) -> str:
    """An enum value is matched without regard to case."""
    for value in schema.get("enum", []):
        if isinstance(value, str) and value.casefold() == words.casefold():
            return value
    return words
