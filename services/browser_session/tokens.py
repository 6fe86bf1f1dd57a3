"""The bearer tokens of the CDP gateway: who may drive which session, under which lease, how long.

A token is a claim and its HMAC. It names the fence of the lease it was made for, so taking the
session for another run makes every older token worthless at once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from libs.secrets import Secret


@dataclass(frozen=True)
class Claim:
    """What a token says."""

    session_id: str
    fence: int
    expires_at: datetime


class InvalidToken(Exception):
    """The token was not made by us, is for another session, or is no longer good."""


def sign(key: bytes, claim: Claim) -> Secret:
    """The token that carries the claim."""
    body = json.dumps([claim.session_id, claim.fence, int(claim.expires_at.timestamp())]).encode()
    return Secret(f"{_text(body)}.{_text(_mac(key, body))}")


def verify(key: bytes, token: str, session_id: str, now: datetime) -> Claim:
    """The claim of a token; raises InvalidToken when it does not open this session now."""
    body_text, _, mac_text = token.partition(".")
    try:
        body, mac = _bytes(body_text), _bytes(mac_text)
    except (binascii.Error, ValueError) as reason:
        raise InvalidToken("the token is malformed") from reason
    if not hmac.compare_digest(mac, _mac(key, body)):
        raise InvalidToken("the token was not made by this service")
    named, fence, expires = json.loads(body)
    if named != session_id:
        raise InvalidToken("the token is for another session")
    expires_at = datetime.fromtimestamp(expires, UTC)
    if now >= expires_at:
        raise InvalidToken("the token has expired")
    return Claim(named, fence, expires_at)


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
