"""A webhook receiver as a customer would write one: it checks the signature before it believes.

The signature is Standard Webhooks 1.0: base64(HMAC-SHA256(secret, "id.timestamp.body")).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from libs.clock import Clock

TOLERANCE_S = 300


@dataclass(frozen=True)
class Received:
    """One message that arrived."""

    webhook_id: str
    verified: bool
    why_not: str  # empty when verified
    body: dict


def refusal(secret: str, headers: dict[str, str], body: bytes, now_s: float) -> str:
    """Why this message is not to be believed; empty when its signature is good."""
    try:
        webhook_id, stamp = headers["webhook-id"], headers["webhook-timestamp"]
        signatures = headers["webhook-signature"].split()
    except KeyError as missing:
        return f"header {missing.args[0]} is missing"
    if not stamp.isdigit() or abs(now_s - int(stamp)) > TOLERANCE_S:
        return "its timestamp is too far from now"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{webhook_id}.{stamp}.".encode() + body
    good = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    if not any(hmac.compare_digest(good, given) for given in signatures):
        return "the signature does not match"
    return ""


class Receiver:
    """Takes messages at /hooks, answers 401 to forgeries, remembers what came."""

    def __init__(
        self,
        secret: Callable[[], str],
        on_received: Callable[[Received], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.received: list[Received] = []
        self._secret = secret
        self._on_received = on_received
        self._clock = clock or Clock()

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.add_routes([web.post("/hooks", self._take)])
        return app

    async def _take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        why_not = refusal(self._secret(), headers, raw, self._clock.now().timestamp())
        try:
            body = json.loads(raw)
        except ValueError:
            return web.Response(status=400)
        message = Received(headers.get("webhook-id", ""), not why_not, why_not, body)
        self.received.append(message)
        if self._on_received:
            self._on_received(message)
        return web.Response(status=401 if why_not else 204)

    def about(self, run_id: str, type_: str = "run.finished") -> list[Received]:
        """What came about a run, of one type."""
        return [
            m
            for m in self.received
            if m.body.get("type") == type_ and run_id in json.dumps(m.body.get("data", {}))
        ]
