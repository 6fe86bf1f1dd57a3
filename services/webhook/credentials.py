"""What an endpoint keeps sealed: signing keys, headers, a client certificate."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from libs import ids
from libs.resealing import SealedColumn
from libs.secrets import Vault
from services.webhook import signing
from services.webhook.store.tables import endpoints

# Rotating in a hurry must not make messages carry ever more signatures.
MOST_KEYS = 3


@dataclass(frozen=True)
class Key:
    """One signing key: the shared secret of v1 and the private half of v1a's pair."""

    secret: bytes
    seed: bytes
    until: datetime | None = None

    @classmethod
    def fresh(cls) -> Key:
        """A key that nobody has seen."""
        return cls(ids.random_bytes(signing.SECRET_BYTES), ids.random_bytes(signing.SEED_BYTES))

    def signs(self, now: datetime) -> bool:
        """Whether it is in use."""
        return self.until is None or now < self.until


@dataclass(frozen=True)
class Credentials:
    """Everything about an endpoint that nobody is shown; the newest key comes first."""

    keys: tuple[Key, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    certificate_pem: str = ""
    private_key_pem: str = ""

    def rotated(self, key: Key, now: datetime, overlap: timedelta) -> Credentials:
        """With a new key; the present ones go on signing for the overlap, and no longer."""
        until = now + overlap
        kept = [
            replace(old, until=until if old.until is None else min(old.until, until))
            for old in self.keys
        ]
        valid = [old for old in kept if old.signs(now)]
        return replace(self, keys=(key, *valid)[:MOST_KEYS])

    def with_headers(self, headers: Mapping[str, str]) -> Credentials:
        """With other headers."""
        return replace(self, headers=headers)

    def with_certificate(self, certificate_pem: str, private_key_pem: str) -> Credentials:
        """With another client certificate, or none."""
        return replace(self, certificate_pem=certificate_pem, private_key_pem=private_key_pem)

    @property
    def public_keys(self) -> list[dict[str, Any]]:
        """The public halves, as the row keeps them in clear."""
        return [
            {
                "key": signing.public_text(key.seed),
                "until": None if key.until is None else key.until.timestamp(),
            }
            for key in self.keys
        ]


def seal(vault: Vault, credentials: Credentials, organization_id: str, endpoint_id: str) -> bytes:
    """The credentials as the endpoint's row keeps them; they open in no other row."""
    plain = {
        "keys": [
            {
                "secret": base64.b64encode(key.secret).decode(),
                "seed": base64.b64encode(key.seed).decode(),
                "until": None if key.until is None else key.until.timestamp(),
            }
            for key in credentials.keys
        ],
        "headers": dict(credentials.headers),
        "certificate_pem": credentials.certificate_pem,
        "private_key_pem": credentials.private_key_pem,
    }
    return vault.seal(orjson.dumps(plain), _tie(organization_id, endpoint_id))


def unseal(vault: Vault, row: Any) -> Credentials:
    """The credentials of an endpoint's row."""
    plain = orjson.loads(vault.open(row.sealed, _tie(row.organization_id, row.endpoint_id)))
    keys = tuple(
        Key(
            base64.b64decode(key["secret"]),
            base64.b64decode(key["seed"]),
            None if key["until"] is None else datetime.fromtimestamp(key["until"], UTC),
        )
        for key in plain.pop("keys")
    )
    return Credentials(keys, **plain)


def _tie(organization_id: str, endpoint_id: str) -> bytes:
    return f"webhook-endpoint:{organization_id}:{endpoint_id}".encode()


# What a rotation of keys seals anew.
SEALED = [
    SealedColumn(endpoints.c.sealed, lambda row: _tie(row.organization_id, row.endpoint_id)),
]
