"""How a session's pages see the world and are seen by it. Pure: what may be asked for.

Time zone, language, user agent and window are the browser's own from its start, so that frames,
workers and pop-ups agree; the rest is told to each page before its first script runs.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import orjson

from libs.secrets import Secret

Wrong = list[tuple[str, str]]

LONGEST_USER_AGENT = 400
LONGEST_HEADER_VALUE = 4096
LONGEST_URL_PATTERN = 500
MOST_HEADERS = 30
MOST_URL_PATTERNS = 200
DEFAULT_ACCURACY_M = 10.0
HEADER_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")
TIME_ZONE = re.compile(r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$")
RESOURCE_TYPES = {
    "image": "Image",
    "media": "Media",
    "font": "Font",
    "stylesheet": "Stylesheet",
    "script": "Script",
    "xhr": "XHR",
    "fetch": "Fetch",
    "websocket": "WebSocket",
    "manifest": "Manifest",
    "ping": "Ping",
    "other": "Other",
}
# The connection's own, and what the browser must say for itself.
RESERVED_HEADERS = frozenset(
    "host connection content-length transfer-encoding upgrade te trailer keep-alive expect"
    " proxy-authorization proxy-connection cookie user-agent accept-language origin referer".split()
)


@dataclass(frozen=True)
class Geolocation:
    """A place on earth."""

    latitude: float
    longitude: float
    accuracy_m: float = DEFAULT_ACCURACY_M


@dataclass(frozen=True)
class Presence:
    """What a session's pages are told, and what they do not load."""

    time_zone: str = ""
    user_agent: str = ""
    geolocation: Geolocation | None = None
    header_names: tuple[str, ...] = ()
    block_types: tuple[str, ...] = ()
    block_urls: tuple[str, ...] = ()

    @property
    def touches_pages(self) -> bool:
        """Whether each page has to be told something."""
        return bool(self.geolocation or self.header_names or self.block_types or self.block_urls)

    def wrong(self) -> Wrong:
        """What may not be asked for, by field."""
        found: Wrong = []
        if self.time_zone and not _is_time_zone(self.time_zone):
            found.append(("options.time_zone", 'must be a time zone such as "Europe/Zurich"'))
        if len(self.user_agent) > LONGEST_USER_AGENT or not _is_plain(self.user_agent):
            why = f"must be at most {LONGEST_USER_AGENT} printable ASCII characters"
            found.append(("options.user_agent", why))
        found += _wrong_place(self.geolocation)
        return found + _wrong_blocking(self.block_types, self.block_urls)


@dataclass(frozen=True)
class Hidden:
    """The parts of a session's options that are kept sealed and never answered."""

    proxy_password: Secret = field(default_factory=lambda: Secret(""))
    headers: tuple[tuple[str, Secret], ...] = ()

    def as_bytes(self) -> bytes:
        """The form in which they are sealed."""
        headers = [[name, value.reveal()] for name, value in self.headers]
        return orjson.dumps({"proxy_password": self.proxy_password.reveal(), "headers": headers})

    @classmethod
    def of(cls, stored: bytes) -> Hidden:
        """What `as_bytes` wrote."""
        parts = orjson.loads(stored)
        headers = tuple((name, Secret(value)) for name, value in parts["headers"])
        return cls(Secret(parts["proxy_password"]), headers)

    def wrong(self) -> Wrong:
        """What may not be asked for, by field."""
        found: Wrong = []
        if len(self.headers) > MOST_HEADERS:
            found.append(("options.extra_headers", f"has more than {MOST_HEADERS} entries"))
        for number, (name, value) in enumerate(self.headers[:MOST_HEADERS]):
            place = f"options.extra_headers[{number}]"
            reserved = name.lower() in RESERVED_HEADERS or name.lower().startswith("sec-")
            if not HEADER_NAME.match(name) or reserved:
                found.append((f"{place}.name", "is not a header that may be set"))
            if len(value.reveal()) > LONGEST_HEADER_VALUE or not _is_plain(value.reveal()):
                why = f"must be at most {LONGEST_HEADER_VALUE} printable ASCII characters"
                found.append((f"{place}.value", why))
        return found


def hidden_seal(session_id: str) -> bytes:
    """What ties sealed options to their session."""
    return f"{session_id}/options".encode()


def _wrong_place(place: Geolocation | None) -> Wrong:
    if place is None:
        return []
    limits = (
        ("latitude", place.latitude, -90.0, 90.0),
        ("longitude", place.longitude, -180.0, 180.0),
        ("accuracy_m", place.accuracy_m, 0.0, 1e7),
    )
    return [
        (f"options.geolocation.{name}", f"must be between {low:g} and {high:g}")
        for name, value, low, high in limits
        if not low <= value <= high
    ]


def _wrong_blocking(types: Sequence[str], urls: Sequence[str]) -> Wrong:
    known = ", ".join(RESOURCE_TYPES)
    found = [
        (f"options.block.types[{number}]", f"must be one of {known}")
        for number, kind in enumerate(types)
        if kind not in RESOURCE_TYPES
    ]
    if len(urls) > MOST_URL_PATTERNS:
        found.append(("options.block.urls", f"has more than {MOST_URL_PATTERNS} entries"))
    found += [
        (f"options.block.urls[{number}]", "must be an address with * for anything")
        for number, url in enumerate(urls[:MOST_URL_PATTERNS])
        if not 0 < len(url) <= LONGEST_URL_PATTERN or not _is_plain(url) or " " in url
    ]
    return found


def _is_plain(text: str) -> bool:
    return text.isascii() and (not text or text.isprintable())


def _is_time_zone(name: str) -> bool:
    """A machine without time zone data leaves it to the browser, which has its own."""
    return TIME_ZONE.match(name) is not None and (not _time_zones() or name in _time_zones())


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
