"""Standard Webhooks 1.0 signatures (https://www.standardwebhooks.com), version v1: HMAC-SHA256."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public part of every secret
SECRET_BYTES = 32


def secret_text(key: bytes) -> str:
    """A key as the receiver is shown it."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def headers(key: bytes, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers that let a receiver verify `body` and refuse an old copy of it.

    The id is that of the event, so it is the same in every attempt; the time is the attempt's.
    """
    timestamp = str(int(at.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }
