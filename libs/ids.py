"""Identity: prefixed ids that sort by the time they were made, and unguessable tokens."""

from __future__ import annotations

import re
import secrets
import time

from libs import errors

# Crockford's Base32 keeps ids short, case-insensitive and free of look-alikes.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(r"^[a-z]{2,5}_[0-9a-hjkmnp-tv-z]{26}$")
_last_ms = 0
_last_random = 0


def new(prefix: str) -> str:
    """A fresh id, such as "run_01k…": 48 bits of time, 80 of chance (the ULID layout).

    Two ids made by one process always sort in the order in which they were made.
    """
    global _last_ms, _last_random
    now_ms = time.time_ns() // 1_000_000
    if now_ms <= _last_ms:
        _last_random += 1
    else:
        _last_ms, _last_random = now_ms, secrets.randbits(79)
    value = (_last_ms << 80) | _last_random
    digits = "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{digits}"


def check(field: str, prefix: str, value: str) -> str:
    """The value when it is an id with this prefix; Invalid, naming the field, when not."""
    if not value:
        raise errors.Invalid(field, "is required")
    if not value.startswith(f"{prefix}_") or not _ID.match(value):
        raise errors.Invalid(field, f'must be an id such as "{prefix}_01k…", not {value[:80]!r}')
    return value


def random_bytes(count: int) -> bytes:
    """Bytes that nobody can guess."""
    return secrets.token_bytes(count)


def token(byte_count: int = 32) -> str:
    """URL-safe text that nobody can guess."""
    return secrets.token_urlsafe(byte_count)


def fraction() -> float:
    """A random number from 0 up to 1, for jitter."""
    return secrets.randbelow(1 << 30) / (1 << 30)
