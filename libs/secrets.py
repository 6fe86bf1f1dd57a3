"""Secrets in memory and at rest: a text that never prints itself, and AES-256-GCM envelopes.

NIST SP 800-38D (GCM) with random 96-bit nonces; the associated data ties a sealed value to its row,
so that two rows whose values are swapped do not open.
"""

from __future__ import annotations

import base64
import json

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs import errors, ids

_NONCE_BYTES = 12


class Secret:
    """A text that shows itself as *** wherever it is printed."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class Vault:
    """Seals values with the newest key and opens those of every key it has.

    `keys` maps key ids (1 to 255) to 32-byte keys.
    """

    def __init__(self, keys: dict[int, bytes]) -> None:
        if not keys:
            raise ValueError("a vault needs at least one key")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self.newest = max(keys)

    @classmethod
    def from_text(cls, text: str) -> Vault:
        """Reads `{"1": "<base64 of 32 bytes>", …}`."""
        stored = json.loads(text)
        return cls({int(key_id): base64.b64decode(key) for key_id, key in stored.items()})

    @staticmethod
    def fresh_text() -> str:
        """A new key file's content, with one key."""
        return json.dumps({"1": base64.b64encode(ids.random_bytes(32)).decode()})

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """Key id, nonce and ciphertext in one value."""
        nonce = ids.random_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self.newest].encrypt(nonce, plaintext, aad)
        return bytes([self.newest]) + nonce + sealed

    @staticmethod
    def key_id(sealed: bytes) -> int:
        """The id of the key that a value rests under."""
        return sealed[0]

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """The value that was sealed with the same associated data; Internal when tampered with."""
        cipher = self._ciphers.get(sealed[0]) if sealed else None
        if cipher is None:
            raise errors.Internal("a sealed value names an unknown key", reason="UNKNOWN_KEY")
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, ciphertext, aad)
        except InvalidTag:
            raise errors.Internal("a sealed value does not open", reason="SEAL_BROKEN") from None
