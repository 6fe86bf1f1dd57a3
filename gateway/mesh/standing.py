"""The gateway's own place in the registry, and the settings that it keeps for the whole mesh.

The settings' truth is the gateways' database; Redis brings them to the others. A gateway that hears
of another version than its own reads the truth again, and tells Redis if that is behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from gateway.mesh import store
from gateway.settings import GatewaySettings
from libs import errors, ids
from libs.db import Database
from libs.events.redis import connect
from libs.presence import Presence, described
from libs.registry import SERVING, ChangedSettings, Registry
from libs.stopping import stop
from libs.tuning import Tuning

log = logging.getLogger(__name__)


class Standing:
    """One gateway among the replicas."""

    def __init__(
        self,
        settings: GatewaySettings,
        redis: Redis,
        database: Database,
        tuning: Tuning,
    ) -> None:
        self.registry = Registry(redis)
        self._db = database
        self._tuning = tuning
        replica = settings.owner(settings.life or ids.token(4))
        clock = database.clock
        self._presence = Presence(
            redis,
            clock,
            described(settings, replica, clock, settings.http_listen),
            health=lambda: SERVING,
            settings=tuning.state,
            hear=self._hear,
            ended=[settings.owner(life) for life in settings.ended_lives],
        )
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: GatewaySettings, database: Database, tuning: Tuning
    ) -> AsyncIterator[Standing]:
        """A standing that knows its settings and has not begun; it ends with the block."""
        redis = connect(settings.redis_url)
        made = cls(settings, redis, database, tuning)
        tuning.hear(await database.read(store.settings))
        try:
            yield made
        finally:
            await stop(made._tasks)
            await redis.aclose()

    def begin(self) -> None:
        """Register, now that both doors are open."""
        self._spawn(self._presence.run())

    async def leave(self) -> None:
        """Say that this gateway is about to stop."""
        await self._presence.leave()

    async def changed(self, now: ChangedSettings) -> None:
        """Heed what was changed here, and tell the others; without Redis they hear it later."""
        self._tuning.hear(now)
        try:
            await self.registry.change_settings(now)
        except errors.Unavailable as error:
            log.warning("the others hear of the changed settings later: %s", error)

    def _hear(self, said: ChangedSettings) -> None:
        self._spawn(self._reconcile(said.version))

    async def _reconcile(self, said: int) -> None:
        try:
            truth = await self._db.read(store.settings)
        except errors.PodiumError as error:
            log.warning("could not read the settings: %s", error)
            return
        self._tuning.hear(truth)
        if truth.version > said:
            await self.changed(truth)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="standing")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
