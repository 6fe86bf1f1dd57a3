"""How much a template may use: sizes, turns and time; and the plain values it works with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from math import isfinite
from time import thread_time
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.runtime import Undefined

MAX_TEMPLATE_BYTES = 8 * 1024
MAX_TEXT = 64 * 1024
MAX_ITEMS = 1_000
MAX_TURNS = 20_000
MAX_INTEGER_BITS = 63
RENDER_TIME_S = 0.25


class TooMuch(SecurityError):
    """A template asked for more than it may have."""


@dataclass(slots=True)
class Budget:
    """What one rendering may still use.

    Time is the thread's own: nothing in a template waits, so it equals the time on the wall except
    when the machine is busy with something else, and that must not fail a run.
    """

    until: float
    turns: int = MAX_TURNS

    @classmethod
    def fresh(cls) -> Budget:
        """The allowance of a new rendering."""
        return cls(thread_time() + RENDER_TIME_S)

    def tick(self, turns: int = 1) -> None:
        """Use a little of it; raises when nothing is left."""
        self.turns -= turns
        if self.turns < 0:
            raise TooMuch(f"loops more than {MAX_TURNS} times")
        if thread_time() > self.until:
            raise TooMuch(f"takes longer than {RENDER_TIME_S:g} s")


BUDGET: ContextVar[Budget] = ContextVar("template_budget")


def defined(value: Any) -> Any:
    """The value; an undefined one raises, as it does whenever it is turned into a text."""
    if isinstance(value, Undefined):
        str(value)
    return value


def as_text(value: Any) -> str:
    """A value as it appears inside a text: JSON, except that texts are bare and null is empty."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return short(json.dumps(plain(value), ensure_ascii=False))


def short(text: str) -> str:
    """The text, unless it is too long."""
    if len(text) > MAX_TEXT:
        raise TooMuch(f"makes a text of more than {MAX_TEXT} characters")
    return text


def plain(value: Any) -> Any:
    """A value in JSON types only: an undefined one, an iterator or an object does not pass."""
    defined(value)
    if isinstance(value, float) and not isfinite(value):
        raise TooMuch("does not give a finite number")
    if value is None or isinstance(value, str | bool | float):
        return value
    if isinstance(value, int):
        return small(value)
    if isinstance(value, dict):
        return {as_text(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TooMuch("does not give a plain value")


def as_items(value: Any) -> list[Any]:
    """What a loop or a list filter goes through."""
    defined(value)
    if not isinstance(value, list | tuple | dict):
        raise TooMuch(f"expects a list, not {kind_of(value)}")
    if len(value) > MAX_ITEMS:
        raise TooMuch(f"goes through a list of more than {MAX_ITEMS} entries")
    BUDGET.get().tick(1 + len(value) // 100)
    return list(value)


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


def turns(value: Any) -> Iterator[Any]:
    """Goes through a list, each turn of the loop on the budget."""
    budget = BUDGET.get()
    items = as_items(value)

    def go() -> Iterator[Any]:
        for item in items:
            budget.tick()
            yield item

    return go()


def small(value: Any) -> Any:
    """The value, unless it is a number too large for JSON."""
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise TooMuch("makes a number that is too large")
    return value
