"""A process's place in the registry: it says that it lives, and hears of changed settings."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from redis.asyncio import Redis

from libs import errors, metrics
from libs.clock import Clock
from libs.registry import BEAT_S, ChangedSettings, Registry, Replica
from libs.settings import Settings

log = logging.getLogger(__name__)
Hear = Callable[[ChangedSettings], None]


class Presence:
    """Registers one replica, again and again, until it leaves."""

    def __init__(
        self,
        redis: Redis,
        clock: Clock,
        me: Replica,
        *,
        health: Callable[[], str],
        settings: Callable[[], tuple[int, dict[str, str]]] = lambda: (0, {}),
        hear: Hear = lambda _changed: None,
        ended: Sequence[str] = (),
    ) -> None:
        self._registry = Registry(redis)
        self._clock = clock
        self._me = me
        self._health = health
        self._settings = settings
        self._hear = hear
        self._ended = tuple(ended)
        self._left = False

    async def run(self) -> None:
        """Heartbeats until cancelled; while Redis is away, everybody keeps what they know."""
        was_away = False
        while not self._left:
            try:
                await self.beat()
                was_away = False
            except errors.Unavailable as error:
                metrics.REGISTRY_FAILURES.inc()
                if not was_away:
                    log.warning("could not register: %s", error)
                was_away = True
            await self._clock.sleep(BEAT_S)

    async def beat(self) -> None:
        """One heartbeat."""
        version, told = self._settings()
        calls, work, room = metrics.load()
        now = replace(
            self._me,
            health=self._health(),
            calls=calls,
            work=work,
            room=room,
            settings_version=version,
            settings=told,
        )
        changed = await self._registry.beat(now, version, self._ended)
        self._ended = ()
        if changed is not None:
            self._hear(changed)

    async def leave(self) -> None:
        """Says that this replica is about to stop, so that it is sent nothing more."""
        self._left = True
        try:
            await self._registry.leave(self._me.replica)
        except errors.Unavailable as error:
            log.info("could not leave the registry: %s", error)


def described(settings: Settings, replica: str, clock: Clock, http_listen: str = "") -> Replica:
    """What is known of this process from its start."""
    return Replica(
        replica=replica,
        service=settings.service,
        address=reachable(settings.listen, settings.advertise),
        http_address=reachable(http_listen, settings.advertise) if http_listen else "",
        stage=settings.stage,
        version=settings.version,
        started_at=clock.now().isoformat(timespec="milliseconds"),
    )


def reachable(listen: str, host: str) -> str:
    """Where others find what listens at an address; an address for all hosts needs our own."""
    if listen.startswith("unix:"):
        return listen
    named, _, port = listen.rpartition(":")
    if host or named in ("0.0.0.0", "[::]", ""):
        named = host or socket.gethostbyname(socket.gethostname())
    return f"{named}:{port}"
