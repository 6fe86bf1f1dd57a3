"""Signatures as the receivers' official library checks them."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.webhook import signing

KEY = bytes(range(32))


def now() -> datetime:
    """Asked for in each test: the library refuses what is older than five minutes."""
    return datetime.now(UTC)


@pytest.mark.parametrize("body", [b"{}", '{"name":"Zoë – ✓"}'.encode(), b"x" * 20_000])
def test_the_official_library_accepts_a_signature(body: bytes) -> None:
    headers = signing.headers(KEY, "evt_1", now(), body)
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
    headers = signing.headers(KEY, "evt_1", now() - timedelta(seconds=30), b"{}") | change
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.secret_text(KEY)).verify(body, headers, json_parse=False)


def test_it_refuses_an_old_message() -> None:
    headers = signing.headers(KEY, "evt_1", now() - timedelta(minutes=6), b"{}")
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.secret_text(KEY)).verify(b"{}", headers)


def test_a_secret_is_shown_in_the_form_of_the_standard() -> None:
    assert signing.secret_text(KEY) == "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
