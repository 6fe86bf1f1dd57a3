"""Who is calling: service tokens, signed with Ed25519 (RFC 8032) by whoever starts the mesh.

A service holds the token that says its own name and the public key that checks the others'. It
cannot make a token, so a service that was taken over speaks for nobody but itself.
"""

from __future__ import annotations

import base64
import json
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from libs import errors, metrics

METADATA_KEY = "authorization"
_SCHEME = "Bearer "


def generate() -> tuple[str, str]:
    """A fresh pair (private key, public key), each as base64."""
    private = Ed25519PrivateKey.generate()
    return (
        base64.b64encode(private.private_bytes_raw()).decode(),
        base64.b64encode(private.public_key().public_bytes_raw()).decode(),
    )


def mint(private_key: str, service: str) -> str:
    """A token that says "I am `service`"."""
    payload = _encode(json.dumps({"service": service}).encode())
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(private_key))
    return f"{payload}.{_encode(key.sign(payload.encode()))}"


@lru_cache(maxsize=256)
def caller_of(token: str, public_key: str) -> str:
    """The service that a token speaks for; Unauthenticated when it is not genuine."""
    payload, _, signature = token.partition(".")
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
        key.verify(_decode(signature), payload.encode())
        return str(json.loads(_decode(payload))["service"])
    except (InvalidSignature, ValueError, KeyError):
        raise errors.Unauthenticated(
            "the service token is not genuine", reason="BAD_SERVICE_TOKEN"
        ) from None


metrics.watch_cache("service_tokens", caller_of)


def bearer(token: str) -> tuple[str, str]:
    """The token as a metadata pair."""
    return METADATA_KEY, _SCHEME + token


def from_metadata(metadata: dict[str, str], public_key: str) -> str:
    """The caller's name from a call's metadata."""
    value = metadata.get(METADATA_KEY, "")
    if not value.startswith(_SCHEME):
        raise errors.Unauthenticated("the call carries no service token", reason="NO_SERVICE_TOKEN")
    return caller_of(value[len(_SCHEME) :], public_key)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
