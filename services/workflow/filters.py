"""The filters and tests of templates: few, and each bounded in what it makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, pass_environment
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import Undefined
from jinja2.tests import TESTS as JINJA_TESTS

from .bounds import (
    MAX_ITEMS,
    MAX_TEXT,
    TooMuch,
    as_items,
    as_text,
    kind_of,
    plain,
    short,
    small,
    turns,
)


def _concat(first: Any, *rest: Any) -> str:
    total, texts = 0, []
    for value in (first, *rest):
        texts.append(as_text(value))
        total += len(texts[-1])
        if total > MAX_TEXT:
            raise TooMuch(f"makes a text of more than {MAX_TEXT} characters")
    return "".join(texts)


def _join(value: Any, separator: str = "") -> str:
    items = as_items(value)
    between = as_text(separator)
    if len(between) * len(items) > MAX_TEXT:
        raise TooMuch(f"makes a text of more than {MAX_TEXT} characters")
    parts: list[str] = []
    for number, item in enumerate(items):
        parts += [between, as_text(item)] if number else [as_text(item)]
    return _concat("", *parts)


def _replace(value: Any, old: str, new: str) -> str:
    text, before, after = as_text(value), as_text(old), as_text(new)
    if not before:
        raise TooMuch("replace needs a text to look for")
    if len(text) + text.count(before) * len(after) > 2 * MAX_TEXT:
        raise TooMuch(f"makes a text of more than {MAX_TEXT} characters")
    return text.replace(before, after)


def _split(value: Any, separator: str | None = None) -> list[str]:
    text = as_text(value)
    return text.split(separator or None, MAX_ITEMS - 1)


def _map_of(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TooMuch(f"expects a mapping, not {kind_of(value)}")
    return value


def _pluck(value: Any, key: str) -> list[Any]:
    return [_map_of(item).get(key) for item in as_items(value)]


def _length(value: Any) -> int:
    if isinstance(value, str | list | tuple | dict):
        return len(value)
    raise TooMuch(f"{kind_of(value)} has no length")


def _integer(value: Any, default: Any = 0) -> Any:
    if isinstance(value, str) and len(value) > 300:
        return default
    return small(JINJA_FILTERS["int"](value, default))


def _over_items(name: str) -> Callable[..., Any]:
    """A list filter of Jinja that only takes short lists and gives a list or a value."""
    original = JINJA_FILTERS[name]

    def run(environment: Environment, value: Any, *given: Any, **options: Any) -> Any:
        result = original(environment, as_items(value), *given, **options)
        return list(result) if isinstance(result, Iterator) else result

    return pass_environment(run)


def _sum(value: Any) -> Any:
    items = as_items(value)
    if not all(isinstance(item, int | float) for item in items):
        raise TooMuch("sum expects a list of numbers")
    return small(sum(items))


def _reverse(value: Any) -> Any:
    return value[::-1] if isinstance(value, str) else as_items(value)[::-1]


def _first(value: Any) -> Any:
    return value[:1] if isinstance(value, str) else next(iter(as_items(value)), None)


def _last(value: Any) -> Any:
    return value[-1:] if isinstance(value, str) else next(iter(as_items(value)[::-1]), None)


def _round(value: Any, digits: int = 0) -> Any:
    if not isinstance(value, int | float) or not isinstance(digits, int) or abs(digits) > 30:
        raise TooMuch("round expects a number and a count of digits")
    return round(value, digits) if digits else round(value)


def _default(value: Any, instead: Any = "", also_when_empty: bool = False) -> Any:
    if isinstance(value, Undefined) or value is None or (also_when_empty and not value):
        return instead
    return value


def _words(change: Callable[[str], str]) -> Callable[[Any], str]:
    return lambda value: change(as_text(value))


def _truncate(value: Any, length: int = 255, end: str = "…") -> str:
    text = as_text(value)
    return text if len(text) <= length else text[: max(0, length)] + as_text(end)


FILTERS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "capitalize": _words(str.capitalize),
    "concat_": _concat,
    "count": _length,
    "d": _default,
    "default": _default,
    "first": _first,
    "float": JINJA_FILTERS["float"],
    "int": _integer,
    "items": lambda value: [list(pair) for pair in _map_of(value).items()],
    "join": _join,
    "keys": lambda value: list(_map_of(value)),
    "last": _last,
    "length": _length,
    "list": lambda value: list(value[:MAX_ITEMS]) if isinstance(value, str) else as_items(value),
    "lower": _words(str.lower),
    "max": _over_items("max"),
    "min": _over_items("min"),
    "pluck": _pluck,
    "replace": _replace,
    "reverse": _reverse,
    "round": _round,
    "sort": _over_items("sort"),
    "split": _split,
    "string": as_text,
    "sum": _sum,
    "title": _words(str.title),
    "tojson": lambda value: short(json.dumps(plain(value), ensure_ascii=False)),
    "trim": _words(str.strip),
    "truncate": _truncate,
    "turns_": turns,
    "unique": _over_items("unique"),
    "upper": _words(str.upper),
    "urlencode": _words(lambda text: quote(short(text), safe="")),
    "values": lambda value: list(_map_of(value).values()),
}
_TEST_NAMES = (
    "boolean defined eq even false float ge gt in integer le lt mapping ne none number odd "
    "string true undefined == != < <= > >="
)
TESTS: dict[str, Callable[..., Any]] = {
    **{name: JINJA_TESTS[name] for name in _TEST_NAMES.split()},
    "list": lambda value: isinstance(value, list),
    "startingwith": lambda value, start: as_text(value).startswith(as_text(start)),
    "endingwith": lambda value, end: as_text(value).endswith(as_text(end)),
}
