"""API keys: who a request is from. A key is `podium_<8 characters>_<256 random bits>`."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway import store
from libs import errors, ids, metrics
from libs.clock import Clock
from libs.db import Database, Tx

HEADER = "x-api-key"
MOST_CACHED = 10_000
_KEY = re.compile(r"podium_([0-9a-f]{8})_([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True)
class Caller:
    """Whom a key speaks for."""

    key_id: str
    organization_id: str


@dataclass(frozen=True)
class _Cached:
    key: store.StoredKey | None
    until: float


class Keys:
    """Tells callers by their keys, asking the database seldom."""

    def __init__(self, db: Database, clock: Clock, cache_s: float) -> None:
        self._db = db
        self._clock = clock
        self._cache_s = cache_s
        self._cache: OrderedDict[str, _Cached] = OrderedDict()

    async def identify(self, headers: Mapping[str, str]) -> Caller:
        """The caller; Unauthenticated without a key that is known and still good."""
        presented = presented_key(headers)
        if not presented:
            raise errors.Unauthenticated(
                f'an API key is required, as "{HEADER}" or "authorization: Bearer"',
                reason="API_KEY_MISSING",
            )
        parts = _KEY.fullmatch(presented)
        key = await self._find(parts.group(1)) if parts else None
        # An unknown key costs the same comparison as a wrong one.
        expected = key.secret_sha256 if key else bytes(32)
        given = hashlib.sha256(parts.group(2).encode() if parts else b"").digest()
        if not hmac.compare_digest(expected, given) or key is None:
            raise errors.Unauthenticated("the API key is not known", reason="API_KEY_INVALID")
        if key.revoke_time is not None:
            raise errors.Unauthenticated("the API key was revoked", reason="API_KEY_REVOKED")
        if _is_over(key.expire_time, self._clock.now()):
            raise errors.Unauthenticated("the API key has expired", reason="API_KEY_EXPIRED")
        return Caller(key.key_id, key.organization_id)

    async def _find(self, handle: str) -> store.StoredKey | None:
        cached = self._cache.get(handle)
        if cached is not None and self._clock.monotonic() < cached.until:
            self._cache.move_to_end(handle)
            metrics.KEY_LOOKUPS.labels("cache").inc()
            return cached.key
        metrics.KEY_LOOKUPS.labels("database").inc()
        key = await self._db.read(lambda tx: store.key_by_handle(tx, handle))
        self._cache[handle] = _Cached(key, self._clock.monotonic() + self._cache_s)
        self._cache.move_to_end(handle)
        if len(self._cache) > MOST_CACHED:
            self._cache.popitem(last=False)
        return key


def presented_key(headers: Mapping[str, str]) -> str:
    """The key that a request carries; empty when it has none."""
    if HEADER in headers:
        return headers[HEADER].strip()
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def key_text() -> str:
    """A fresh key that nobody knows yet."""
    return f"podium_{ids.random_bytes(4).hex()}_{ids.random_bytes(32).hex()}"


def new_key(tx: Tx, organization_id: str, name: str, expire_time: datetime | None = None) -> str:
    """Make a key for an organisation; the text is never kept and cannot be told again."""
    key = key_text()
    _keep(tx, organization_id, key, name, expire_time)
    return key


def _keep(
    tx: Tx, organization_id: str, key: str, name: str, expire_time: datetime | None = None
) -> None:
    _, handle, secret = key.split("_")
    digest = hashlib.sha256(secret.encode()).digest()
    kept = store.StoredKey(ids.new("key"), organization_id, handle, digest, expire_time)
    store.add_key(tx, kept, name)


async def ensure_first_key(db: Database, file: Path, given: str = "") -> bool:
    """On the first start make an organisation with a key: the given one, else one left in `file`.

    True when it was the first start. The file is written before the commit: when either fails, the
    next start finds no organisation and does both again.
    """
    if given and not _KEY.fullmatch(given):
        raise SystemExit("PODIUM_FIRST_API_KEY must be podium_<8 hex digits>_<64 hex digits>")

    def unit(tx: Tx) -> bool:
        if store.has_organizations(tx):
            return False
        organization_id = ids.new("org")
        store.add_organization(tx, organization_id, "default")
        key = given or key_text()
        _keep(tx, organization_id, key, "made at the first start")
        if not given:
            _write_private(file, key)
        return True

    return await db.write(unit)


def _write_private(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(f"{text}\n")
    fresh.replace(file)


def _is_over(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now
