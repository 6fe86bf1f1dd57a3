"""Sign-in links from mails: what in them nobody may read. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

SHORTEST_MIXED, SHORTEST_PLAIN = 8, 16
_PIECES = re.compile(r"[/?&=#;]")


def secrets_of(url: str) -> list[str]:
    """The link and those of its pieces that may be what signs in."""
    parts = urlsplit(url)
    place = f"{parts.path}?{parts.query}#{parts.fragment}"
    return [url, *(piece for piece in _PIECES.split(place) if _is_minted(piece))]


def _is_minted(piece: str) -> bool:
    mixed = any(c.isdigit() for c in piece) and any(c.isalpha() for c in piece)
    return len(piece) >= (SHORTEST_MIXED if mixed else SHORTEST_PLAIN)
