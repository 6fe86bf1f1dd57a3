"""What a saved profile is, and how a state from elsewhere is read. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from libs import errors
from services.browser_session.profile import LARGEST_ORIGIN_CHARS, MOST_ORIGINS, Items, Profile

KEPT_VERSIONS = 20
LONGEST_NAME = 100
LARGEST_STATE_CHARS = 4 * 1024 * 1024
MOST_COOKIES = 3000
SAME_SITE = frozenset({"Strict", "Lax", "None"})
STATE = "storage_state"


@dataclass(frozen=True)
class SavedProfile:
    """A profile without what it holds."""

    profile_id: str
    organization_id: str
    name: str
    request_id: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Version:
    """One version of it, without what it holds."""

    version: int
    cookies: int
    origins: int
    session_id: str
    saved_at: datetime


def version_seal(profile_id: str, version: int) -> bytes:
    """What ties the sealed content of a version to its row."""
    return f"{profile_id}/{version}".encode()


def checked_name(name: str) -> str:
    """The display name; raises Invalid when it is none."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise errors.Invalid("name", f"must have 1 to {LONGEST_NAME} printable characters")
    return name.strip()


def from_storage_state(text: str) -> Profile:
    """The profile in a Playwright storage state; raises Invalid naming what is wrong with it."""
    if len(text) > LARGEST_STATE_CHARS:
        raise errors.Invalid(STATE, f"is longer than {LARGEST_STATE_CHARS} characters")
    try:
        parts = orjson.loads(text)
        cookies, origins = parts.get("cookies", []), parts.get("origins", [])
    except (ValueError, AttributeError):
        raise errors.Invalid(STATE, "must be a JSON object") from None
    if not isinstance(cookies, list) or len(cookies) > MOST_COOKIES:
        raise errors.Invalid(f"{STATE}.cookies", f"must be a list of at most {MOST_COOKIES}")
    if not isinstance(origins, list) or len(origins) > MOST_ORIGINS:
        raise errors.Invalid(f"{STATE}.origins", f"must be a list of at most {MOST_ORIGINS}")
    kept = [_cookie(f"{STATE}.cookies[{number}]", one) for number, one in enumerate(cookies)]
    pairs = [_origin(f"{STATE}.origins[{number}]", one) for number, one in enumerate(origins)]
    return Profile(kept, dict(pairs))


def _cookie(place: str, found: Any) -> dict[str, Any]:
    needed = ("name", "value", "domain", "path")
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in needed):
        raise errors.Invalid(place, "must have the texts name, value, domain and path")
    cookie = {key: found[key] for key in needed}
    cookie |= {key: True for key in ("httpOnly", "secure") if found.get(key) is True}
    if found.get("sameSite") in SAME_SITE:
        cookie["sameSite"] = found["sameSite"]
    expires = found.get("expires", -1)
    if isinstance(expires, int | float) and expires > 0:
        cookie["expires"] = expires
    return cookie


def _origin(place: str, found: Any) -> tuple[str, Items]:
    if not isinstance(found, dict) or not isinstance(found.get("origin"), str):
        raise errors.Invalid(place, "must have an origin")
    parsed = urlsplit(found["origin"])
    if (
        parsed.scheme not in ("http", "https")
        or not parsed.hostname
        or parsed.path not in ("", "/")
    ):
        raise errors.Invalid(f"{place}.origin", 'must be an origin such as "https://example.com"')
    try:
        items = tuple((str(one["name"]), str(one["value"])) for one in found["localStorage"])
    except (KeyError, TypeError):
        why = "must be a list of names and values"
        raise errors.Invalid(f"{place}.localStorage", why) from None
    if sum(len(name) + len(value) for name, value in items) > LARGEST_ORIGIN_CHARS:
        raise errors.Invalid(f"{place}.localStorage", "is too large")
    return f"{parsed.scheme}://{parsed.netloc}", items
