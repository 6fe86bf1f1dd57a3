"""Standard Webhooks 1.0 signatures (https://www.standardwebhooks.com).

v1 is HMAC-SHA256 with a secret that the receiver has too; v1a is Ed25519 (RFC 8032), which it
checks with a public key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public part of every secret
PUBLIC_PREFIX = "whpk_"
SECRET_BYTES = 32
SEED_BYTES = 32


def secret_text(key: bytes) -> str:
    """A secret as the receiver is shown it."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def public_text(seed: bytes) -> str:
    """The public half of a v1a key as the receiver is shown it."""
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return PUBLIC_PREFIX + base64.b64encode(_private(seed).public_key().public_bytes(*raw)).decode()


def headers(
    secrets: Iterable[bytes], seeds: Iterable[bytes], message_id: str, at: datetime, body: bytes
) -> dict[str, str]:
    """The three headers that let a receiver verify `body` and refuse an old copy of it.

    There is a v1 signature for each secret and a v1a one for each seed. The id is that of the
    event, so it is the same in every attempt; the time is the attempt's.
    """
    timestamp = str(int(at.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signatures = [_text("v1", _mac(key, signed)) for key in secrets]
    signatures += [_text("v1a", _private(seed).sign(signed)) for seed in seeds]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def _text(version: str, signature: bytes) -> str:
    return f"{version},{base64.b64encode(signature).decode()}"


def _mac(key: bytes, signed: bytes) -> bytes:
    mac = _keyed(key).copy()
    mac.update(signed)
    return mac.digest()


@lru_cache(maxsize=1000)
def _keyed(key: bytes) -> hmac.HMAC:
    # Taking a key up costs more than the MAC of a message.
    return hmac.new(key, digestmod=hashlib.sha256)


@lru_cache(maxsize=1000)
def _private(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)
