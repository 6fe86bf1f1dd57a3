"""What the gateway tells people: that an upstream failed so often that it is left alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.breakers import Breaker
from libs import alarms, context
from libs.clock import Clock
from libs.db import Database
from libs.events.redis import RedisBus, connect
from libs.relay import Relay
from libs.stopping import stop

log = logging.getLogger(__name__)


class Alarms:
    """Raises alerts; each is a row first, and reaches the bus like any other event."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._raising: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, database: Database, service: str, redis_url: str, clock: Clock
    ) -> AsyncIterator[Alarms]:
        """Alarms whose alerts are brought to the bus inside the block."""
        redis = connect(redis_url)
        relay = Relay(database, RedisBus(redis, clock), service, clock)
        database.after_commit = relay.hand_over
        relaying = asyncio.create_task(relay.run(), name="relay")
        made = cls(database)
        try:
            yield made
        finally:
            if made._raising:
                await asyncio.wait(made._raising)
            await stop([relaying])
            await redis.aclose()

    def breaker_opened(self, breaker: Breaker) -> None:
        """Tells the organisation whose call was the last straw."""
        task = asyncio.create_task(
            self._raise(breaker.upstream, context.current().organization_id), name="alarm"
        )
        self._raising.add(task)
        task.add_done_callback(self._raising.discard)

    async def _raise(self, upstream: str, organization_id: str) -> None:
        about = {
            "level": "warning",
            "message": f"the {upstream} service failed repeatedly and is left alone for a moment",
            "upstream": upstream,
        }
        await alarms.sound(self._database, "BREAKER_OPEN", about, organization_id=organization_id)
