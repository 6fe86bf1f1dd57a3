"""Pages of lists, as AIP-158 has them: opaque tokens that carry where the next page begins."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from libs import errors

DEFAULT_SIZE = 50
LARGEST_SIZE = 200


def size(asked: int) -> int:
    """How many to answer: 0 is the default, too many counts as the most; Invalid when negative."""
    if asked < 0:
        raise errors.Invalid("page_size", "must not be negative")
    return min(asked or DEFAULT_SIZE, LARGEST_SIZE)


def token(*position: Any) -> str:
    """The position of the last thing on a page, as text for the client to hand back."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def position(page_token: str, length: int = 1) -> list[Any] | None:
    """What `token` was given; None without a token, Invalid when it is not one of ours."""
    if not page_token:
        return None
    try:
        padded = page_token.encode() + b"=" * (-len(page_token) % 4)
        found = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        found = None
    if not isinstance(found, list) or len(found) != length:
        raise errors.Invalid("page_token", "is not the next_page_token of a page before")
    return found
