"""The nemesis: a schedule of faults that a seed decides, carried out on one mesh's processes.

The schedule is drawn before it begins and does not depend on what happens, so that the same seed
hits the same parts at the same moments.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.layout import Layout
from libs.events.streams import PREFIX
from tests.chaos.books import LeaseWatch
from tests.chaos.postgres import Server
from tests.chaos.stage import Stage, send

STOPPED_S = 7.0  # Longer than a lease (4 s) and the sweep after it.
PAUSED_S = 5.0
REPEATED = 30
TWO_AT_ONCE = 0.25
REPLICAS = ("run", "workflow", "task", "webhook", "browser_session", "totp", "gateway")
# How often each fault is drawn, relative to the others.
WEIGHTS = {
    "kill": 8,
    "kill_twice": 1,
    "stop": 3,
    "valkey_kill": 1,
    "valkey_empty": 1,
    "valkey_pause": 1,
    "bus_repeats": 1,
    "envoy_kill": 1,
    "chromium_kill": 1,
    "postgres_restart": 3,
}
# The engines of the work are hit more often than the rest.
REPLICA_WEIGHTS = (4, 4, 2, 2, 1, 1, 2)


@dataclass(frozen=True)
class Fault:
    """One fault of the schedule."""

    at_s: float
    what: str
    target: str = ""

    def __str__(self) -> str:
        return f"{self.at_s:6.1f} s  {self.what} {self.target}".rstrip()


@dataclass
class Window:
    """When a fault was under way, for telling apart what it excuses."""

    fault: Fault
    began: float
    ended: float = 0.0


def schedule(
    seed: int, seconds: float, *, postgres: bool, pages: bool, every_s: tuple[float, float]
) -> list[Fault]:
    """The faults of a campaign in their order.

    Every other one comes from a round of all kinds, so that a campaign of some length meets each.
    """
    dice = random.Random(seed)
    kinds = dict(WEIGHTS)
    if not postgres:
        kinds.pop("postgres_restart")
    if not pages:
        kinds.pop("chromium_kill")
    faults: list[Fault] = []
    turn: list[str] = []
    at_s = dice.uniform(1.0, 2.0)
    while at_s < seconds:
        for _ in range(2 if dice.random() < TWO_AT_ONCE else 1):
            turn = turn or dice.sample(list(kinds), len(kinds))
            (drawn,) = dice.choices(list(kinds), list(kinds.values()))
            what = turn.pop() if len(faults) % 2 else drawn
            if faults and (faults[-1].at_s, faults[-1].what) == (round(at_s, 1), what):
                continue  # What is down already cannot be hit at the same moment.
            (service,) = dice.choices(REPLICAS, REPLICA_WEIGHTS)
            hits_one = what in ("kill", "kill_twice", "stop")
            target = f"{service}-{dice.choice((1, 2))}" if hits_one else ""
            faults.append(Fault(round(at_s, 1), what, target))
        at_s += dice.uniform(*every_s)
    return faults


@dataclass
class Nemesis:
    """Carries a schedule out."""

    stage: Stage
    watch: LeaseWatch
    postgres: Server | None = None
    windows: list[Window] = field(default_factory=list)
    _server_turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def carry_out(self, faults: list[Fault]) -> None:
        """Every fault at its time; returns when the last one is over."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
                group.create_task(self._one(fault))

    async def _one(self, fault: Fault) -> None:
        window = Window(fault, time.time())
        self.windows.append(window)
        deeds: dict[str, Callable[[str], Awaitable[None]]] = {
            "kill": self._kill,
            "kill_twice": self._kill_twice,
            "stop": self._stop,
            "valkey_kill": lambda _: self._kill("valkey"),
            "valkey_empty": self._empty_valkey,
            "valkey_pause": lambda _: self._pause("valkey", PAUSED_S),
            "bus_repeats": self._repeat_messages,
            "envoy_kill": lambda _: self._kill("envoy"),
            "chromium_kill": self._kill_chromium,
            "postgres_restart": self._restart_postgres,
        }
        await deeds[fault.what](fault.target)
        window.ended = time.time()

    async def _kill(self, name: str) -> None:
        if send(self.stage.pid(name), signal.SIGKILL):
            self.watch.hit(name)

    async def _kill_twice(self, name: str) -> None:
        """Again while it is coming back."""
        await self._kill(name)
        await asyncio.sleep(0.3)
        send(self.stage.pid(name), signal.SIGKILL)

    async def _stop(self, name: str) -> None:
        """A zombie: its leases are over when it goes on."""
        self.watch.hit(name)
        await self._pause(name, STOPPED_S)

    async def _pause(self, name: str, seconds: float) -> None:
        pid = self.stage.pid(name)
        if send(pid, signal.SIGSTOP):
            await asyncio.sleep(seconds)
            send(pid, signal.SIGCONT)

    async def _empty_valkey(self, _: str) -> None:
        """It comes back knowing nothing."""
        pid = self.stage.pid("valkey")
        if not send(pid, signal.SIGSTOP):
            return
        folder = Layout(self.stage.home).data / "valkey"
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        send(pid, signal.SIGKILL)

    async def _repeat_messages(self, _: str) -> None:
        """The latest messages of each stream come again, the newest first."""
        redis: Any = Redis.from_url(self.stage.status().redis_url)
        with contextlib.suppress(RedisError, OSError):
            async for stream in redis.scan_iter(f"{PREFIX}*"):
                for _id, fields in await redis.xrevrange(stream, count=REPEATED):
                    await redis.xadd(stream, fields)
        await redis.aclose()

    async def _kill_chromium(self, _: str) -> None:
        for pid in self.stage.browsers()[:1]:
            send(pid, signal.SIGKILL)

    async def _restart_postgres(self, _: str) -> None:
        assert self.postgres is not None
        async with self._server_turn:
            await asyncio.to_thread(self.postgres.stop_at_once)
            await asyncio.sleep(1.0)
            await asyncio.to_thread(self.postgres.start)
