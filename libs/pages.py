"""Pages of lists, as AIP-158 has them: opaque tokens that carry where the next page begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

import orjson

from libs import errors

DEFAULT_SIZE = 50
LARGEST_SIZE = 200
T = TypeVar("T")


def size(asked: int) -> int:
    """How many to answer: 0 is the default, too many counts as the most; Invalid when negative."""
    if asked < 0:
        raise errors.Invalid("page_size", "must not be negative")
    return min(asked or DEFAULT_SIZE, LARGEST_SIZE)


def token(*position: str) -> str:
    """The position of the last thing on a page, as text for the client to hand back."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def position(page_token: str, length: int = 1) -> list[str] | None:
    """What `token` was given; None without a token, Invalid when it is not one of ours."""
    if not page_token:
        return None
    try:
        padded = page_token.encode() + b"=" * (-len(page_token) % 4)
        found = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        found = None
    if isinstance(found, list) and len(found) == length and all(map(_is_text, found)):
        return found
    raise errors.Invalid("page_token", "is not the next_page_token of a page before")


def _is_text(part: object) -> bool:
    # PostgreSQL refuses a text with a NUL.
    return isinstance(part, str) and "\0" not in part


def after(page_token: str, *filters: str) -> str:
    """The key behind which a page begins, "" for the first one; Invalid with other filters."""
    found = position(page_token, 1 + len(filters))
    if found is None:
        return ""
    if found[1:] != [*filters]:
        raise errors.Invalid("page_token", "belongs to a list with other filters")
    return found[0]


def cut(
    rows: Sequence[T], size: int, place: Callable[[T], tuple[str, ...]]
) -> tuple[Sequence[T], str]:
    """The page out of `size` + 1 rows that were looked for, and the token of the next one."""
    shown = rows[:size]
    return shown, token(*place(shown[-1])) if len(rows) > size else ""
