"""Asks a URL for codes while challenges wait: a signed POST, under the rules of egress.

The request is signed as webhooks are (Standard Webhooks 1.0, v1), so that who answers can tell that
it is us who ask. The answer is JSON with the code or the whole message, or 204 for nothing yet.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime

import aiohttp
import orjson

from libs import egress
from services.totp.domain import Challenge

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public part of every secret
SECRET_BYTES = 32
LARGEST_ANSWER_BYTES = 64 * 1024
# As Skyvern's totp_verification_url answers, then the words that others use.
FIELDS = ("verification_code", "code", "otp", "content", "message", "text")


class PullFailure(Exception):
    """The URL did not answer as it should; its text says how and holds no secret."""


@dataclass(frozen=True)
class PulledCode:
    """What the URL answered: a code or a message, and what tells it from an earlier one."""

    content: str = field(repr=False)
    name: str


async def ask(
    client: aiohttp.ClientSession, url: str, key: bytes, challenge: Challenge, now: datetime
) -> PulledCode | None:
    """What the URL has for this challenge; None when there is nothing yet."""
    body = orjson.dumps(
        {
            "type": "totp.required",
            "challenge_id": challenge.challenge_id,
            "identifier": challenge.identifier,
            "run_id": challenge.run_id,
            "task_id": challenge.task_id,
            "not_before": challenge.not_before.isoformat(),
        }
    )
    try:
        answer = await egress.exchange(
            client,
            "POST",
            url,
            headers=_headers(key, challenge.challenge_id, now, body),
            body=body,
            limit=LARGEST_ANSWER_BYTES,
        )
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise PullFailure(f"the URL cannot be asked ({egress.classify(error)})") from None
    if answer.status in (204, 404):
        return None
    if answer.status != 200:
        raise PullFailure(f"the URL answered with status {answer.status}")
    return read(answer.body)


def read(body: bytes) -> PulledCode | None:
    """The code or message in an answer; None when it holds none."""
    if not body.strip():
        return None
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise PullFailure("the URL did not answer with JSON") from None
    if not isinstance(said, dict):
        raise PullFailure("the URL did not answer with a JSON object")
    content = next((said[name] for name in FIELDS if said.get(name)), "")
    if isinstance(content, int) and not isinstance(content, bool):
        raise PullFailure("the URL answered a code as a number, which drops leading zeros")
    if not isinstance(content, str):
        raise PullFailure("the URL answered a code that is not text")
    return PulledCode(content, str(said.get("id") or content)) if content.strip() else None


def secret_text(key: bytes) -> str:
    """A key as its owner is shown it."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def _headers(key: bytes, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }
