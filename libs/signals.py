"""Wake-up hints between tasks and replicas: "something about this topic has changed".

A hint may be lost (Redis may be down), may come twice, and says nothing about what changed: who is
woken reads the database again. So a waiter subscribes first, reads, and only then waits, with a
time limit as its safety net.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from libs import ids
from libs.clock import Clock
from libs.stopping import stop

CHANNEL = "podium:signals"
_RECONNECT_S = 0.5
_SILENCE_S = 2.0
log = logging.getLogger(__name__)


class Subscription:
    """A place to wait for one topic."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Ends the present wait, or the next one."""
        self._changed.set()

    async def wait(self, timeout_s: float) -> bool:
        """True when there was a hint since the last wait, False when the time is over."""
        try:
            async with asyncio.timeout(max(timeout_s, 0)):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True


class Signals:
    """Hints within this process at once, and to the other replicas over Redis."""

    def __init__(self, redis: Redis | None, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._subscribers: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._outgoing: asyncio.Queue[str] = asyncio.Queue(maxsize=10_000)
        self._tasks: list[asyncio.Task[None]] = []
        # Hints that come back need not wake anybody again.
        self._me = ids.token(8)

    def start(self) -> None:
        """Begins to exchange hints with the other replicas."""
        if self._redis is not None:
            self._tasks = [
                asyncio.create_task(self._send(), name="signals-send"),
                asyncio.create_task(self._receive(), name="signals-receive"),
            ]

    async def close(self) -> None:
        """Stops exchanging hints."""
        await stop(self._tasks)

    def notify(self, topic: str) -> None:
        """Wakes whoever waits for the topic, in every replica."""
        self._wake(topic)
        with contextlib.suppress(asyncio.QueueFull):
            self._outgoing.put_nowait(topic)

    @asynccontextmanager
    async def subscribe(self, *topics: str) -> AsyncIterator[Subscription]:
        """A subscription to one or more topics; read the database inside, then wait."""
        subscription = Subscription()
        for topic in topics:
            self._subscribers[topic].add(subscription)
        try:
            yield subscription
        finally:
            for topic in topics:
                self._subscribers[topic].discard(subscription)
                if not self._subscribers[topic]:
                    del self._subscribers[topic]

    async def wait(self, topic: str, timeout_s: float) -> bool:
        """Waits for one hint that comes from now on."""
        async with self.subscribe(topic) as subscription:
            return await subscription.wait(timeout_s)

    def wake_all(self) -> None:
        """Wakes everybody, for when hints may have been missed."""
        for topic in list(self._subscribers):
            self._wake(topic)

    def _wake(self, topic: str) -> None:
        for subscription in self._subscribers.get(topic, ()):
            subscription.wake()

    async def _send(self) -> None:
        assert self._redis is not None
        while True:
            topics = {await self._outgoing.get()}
            while not self._outgoing.empty():
                topics.add(self._outgoing.get_nowait())
            await self._publish(topics)

    async def _publish(self, topics: Iterable[str]) -> None:
        assert self._redis is not None
        try:
            # One message for all topics of a commit: the bus charges by the message.
            await self._redis.publish(CHANNEL, "\n".join((self._me, *topics)))
        except (RedisError, OSError):
            log.debug("hints lost: redis does not answer")

    async def _receive(self) -> None:
        assert self._redis is not None
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    self.wake_all()
                    await self._listen(pubsub)
            except (RedisError, OSError):
                await self._clock.sleep(_RECONNECT_S)

    async def _listen(self, pubsub: PubSub) -> None:
        """Passes hints on until the server has been silent for too long."""
        silent = 0
        while silent < 2:
            message = await pubsub.get_message(timeout=_SILENCE_S)
            if message is None:
                silent += 1
                # A server that stands still closes no connection: only an answer shows its life.
                await pubsub.ping()
                continue
            silent = 0
            if message["type"] == "message":
                sender, *topics = message["data"].decode(errors="replace").split("\n")
                for topic in topics if sender != self._me else ():
                    self._wake(topic)
