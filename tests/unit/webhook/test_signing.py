"""Signatures as the receivers' official library checks them."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.webhook import signing

KEY = bytes(range(32))


def now() -> datetime:
    """Asked for in each test: the library refuses what is older than five minutes."""
    return datetime.now(UTC)


@pytest.mark.parametrize("body", [b"{}", '{"name":"Zoë – ✓"}'.encode(), b"x" * 20_000])
def test_the_official_library_accepts_a_signature(body: bytes) -> None:
    headers = signing.headers([KEY], [], "evt_1", now(), body)
    Webhook(signing.secret_text(KEY)).verify(body, headers, json_parse=False)
    assert headers["webhook-id"] == "evt_1"


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({"webhook-id": "evt_2"}, b"{}"),
        ({"webhook-timestamp": str(int(now().timestamp()) + 1)}, b"{}"),
        ({}, b'{"amount":2}'),
    ],
)
def test_it_refuses_whatever_was_changed_on_the_way(change: dict[str, str], body: bytes) -> None:
    headers = signing.headers([KEY], [], "evt_1", now() - timedelta(seconds=30), b"{}") | change
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.secret_text(KEY)).verify(body, headers, json_parse=False)


def test_it_refuses_an_old_message() -> None:
    headers = signing.headers([KEY], [], "evt_1", now() - timedelta(minutes=6), b"{}")
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.secret_text(KEY)).verify(b"{}", headers)


def test_a_secret_is_shown_in_the_form_of_the_standard() -> None:
    assert signing.secret_text(KEY) == "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def test_both_secrets_of_a_rotation_sign() -> None:
    other = bytes(32)
    headers = signing.headers([other, KEY], [], "evt_1", now(), b"{}")
    for key in (other, KEY):
        Webhook(signing.secret_text(key)).verify(b"{}", headers)


def test_a_v1a_signature_is_checked_with_the_public_key_alone() -> None:
    headers = signing.headers([KEY], [KEY], "evt_1", now(), b"{}")
    public = signing.public_text(KEY)
    assert public.startswith("whpk_")
    raw = base64.b64decode(public.removeprefix("whpk_"))
    (mine,) = [s for s in headers["webhook-signature"].split() if s.startswith("v1a,")]
    signed = f"evt_1.{headers['webhook-timestamp']}.{{}}".encode()
    Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(mine[4:]), signed)
    # The library that knows v1 only passes over it.
    Webhook(signing.secret_text(KEY)).verify(b"{}", headers)
