"""The outside world: servers that note every effect and every webhook, with the time of each.

What they noted is the oracle: it is kept by the harness alone and survives whatever is killed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from zlib import crc32

from aiohttp import web

from deploy.demo.receiver import refusal
from deploy.demo.site import Customer, Portal, serving

USERNAME = "chaos@northwind.example"
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Effect:
    """One request that reached the side-effect server."""

    run_id: str
    label: str
    key: str  # the Idempotency-Key: run / block path / attempt
    arrived: float
    answered: int

    @property
    def path(self) -> str:
        """The block path inside the step key."""
        return self.key.split("/")[1]


@dataclass(frozen=True)
class Told:
    """One webhook message that arrived."""

    webhook_id: str
    why_not: str  # empty when its signature is good
    run_id: str
    type: str
    arrived: float


@dataclass
class World:
    """The servers' notes."""

    effects: list[Effect] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    secret: str = ""
    url: str = ""
    portal_url: str = ""
    most_hooks_at_once: int = 0
    _hooks_now: int = 0
    _seen_keys: Counter[str] = field(default_factory=Counter)

    def of_run(self, run_id: str) -> list[Effect]:
        """The effects of one run in the order in which they arrived."""
        return [effect for effect in self.effects if effect.run_id == run_id]

    def app(self) -> web.Application:
        """`/effect/{label}` takes effects, `/hooks` takes webhooks."""
        app = web.Application()
        app.add_routes([web.post("/effect/{label}", self._effect), web.post("/hooks", self._hook)])
        return app

    async def _effect(self, request: web.Request) -> web.Response:
        arrived = time.time()
        body = await request.json()
        key, label = request.headers["Idempotency-Key"], request.match_info["label"]
        status = self._status(key, label, body)
        self.effects.append(Effect(body["run_id"], label, key, arrived, status))
        # Long enough for faults to hit a block in the middle.
        await asyncio.sleep(float(body.get("takes_s", 0.1)))
        return web.json_response({"ok": status == 200}, status=status)

    def _status(self, key: str, label: str, body: dict) -> int:
        if body.get("fail_at") == label:
            return 422
        if body.get("flaky_at") == label and key.endswith("/1"):
            return 503
        return 200

    async def _hook(self, request: web.Request) -> web.Response:
        self._hooks_now += 1
        self.most_hooks_at_once = max(self.most_hooks_at_once, self._hooks_now)
        try:
            return await self._take(request)
        finally:
            self._hooks_now -= 1

    async def _take(self, request: web.Request) -> web.Response:
        arrived, raw = time.time(), await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        why_not = refusal(self.secret, headers, raw, arrived)
        body = await request.json()
        run_id = str(body.get("data", {}).get("run_id", ""))
        webhook_id = headers.get("webhook-id", "")
        self.told.append(Told(webhook_id, why_not, run_id, str(body.get("type")), arrived))
        self._seen_keys[webhook_id] += 1
        # The first copy of some messages is refused, so that retries are always part of the load.
        refused = self._seen_keys[webhook_id] == 1 and crc32(webhook_id.encode()) % 5 == 0
        return web.Response(status=503 if refused else 204)


@asynccontextmanager
async def opened() -> AsyncIterator[World]:
    """The world, its servers running."""
    world = World()
    portal = Portal(Customer(USERNAME, PASSWORD, None))
    portal.customer.sent_code = "482913"
    async with serving(world.app()) as world.url, serving(portal.app()) as world.portal_url:
        yield world
