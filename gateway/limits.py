"""How often a key may call: a token bucket for each, in this process."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from libs import errors
from libs.clock import Clock

# Buckets of keys that were quiet for long are full again, so forgetting them changes nothing.
MOST_BUCKETS = 10_000


@dataclass
class _Bucket:
    tokens: float
    filled_at: float


class RateLimit:
    """Lets `per_s` calls a second through for each key, and `burst` at once after a quiet time."""

    def __init__(self, per_s: float, burst: int, clock: Clock) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def tune(self, per_s: float, burst: int) -> None:
        """Change the limit for every key; nobody has more than the new burst at once."""
        self._per_s, self._burst = per_s, float(burst)

    def take(self, key: str) -> None:
        """Count one call; Exhausted, with the time until the next token, when there is none."""
        now = self._clock.monotonic()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self._burst, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        grown = bucket.tokens + (now - bucket.filled_at) * self._per_s
        bucket.tokens, bucket.filled_at = min(self._burst, grown), now
        if bucket.tokens < 1:
            raise errors.Exhausted(
                "this API key calls too often",
                reason="RATE_LIMITED",
                retry_after_s=math.ceil((1 - bucket.tokens) / self._per_s * 1000) / 1000,
            )
        bucket.tokens -= 1
