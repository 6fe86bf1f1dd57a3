"""The body of a request: read with a limit, refused in words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.problem import HttpRefusal

LARGEST_BODY_BYTES = 1024 * 1024
# Past its limit a body is still taken in for a while, so that a client that only reads after it
# has written everything sees the answer instead of a broken connection.
MOST_DISCARDED_BYTES = 4 * LARGEST_BODY_BYTES

Receive = Callable[[], Awaitable[Any]]


async def read_body(receive: Receive, headers: Mapping[str, str]) -> bytes:
    """The whole body; a problem when it is too large or not JSON."""
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ConnectionResetError
        piece = event.get("body", b"")
        size += len(piece)
        more = event.get("more_body", False)
        if size <= LARGEST_BODY_BYTES:
            pieces.append(piece)
        elif size > MOST_DISCARDED_BYTES:
            break
    if size > LARGEST_BODY_BYTES:
        raise HttpRefusal(
            413,
            "BODY_TOO_LARGE",
            f"the body is larger than {LARGEST_BODY_BYTES} bytes",
            {"connection": "close"},
        )
    if size:
        _check_type(headers)
    return b"".join(pieces)


def _check_type(headers: Mapping[str, str]) -> None:
    """Nobody should learn by a parser's error that the body was taken for JSON."""
    media_type, _, parameters = headers.get("content-type", "application/json").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if media_type.strip().lower() != "application/json":
        raise HttpRefusal(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            f"the body must be application/json, not {media_type.strip()[:100]}",
            {"accept-post": "application/json"},
        )
    if charset not in ("", "charset=utf-8"):
        raise HttpRefusal(415, "UNSUPPORTED_MEDIA_TYPE", "the body must be in UTF-8")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpRefusal(
            415,
            "UNSUPPORTED_ENCODING",
            "the body must not be compressed",
            {"accept-encoding": "identity"},
        )
