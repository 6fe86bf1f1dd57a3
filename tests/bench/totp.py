"""One-time codes: how soon a waiter on one replica is woken by a code that another one took in.

Two replicas are processes of their own on one store and one bus. In each round sixteen challenges
for one address wait as streams on one replica, and sixteen codes are pushed through the other, one
after the other or all at once. A woken waiter claims its code; that it got one, and which, tells
when that code was pushed. Times count from the answer to the push.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from libs import ids
from libs.rpc import client
from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1 import totp_pb2_grpc as pb_grpc
from tests.bench.measuring import percentile
from tests.bench.replica import process
from tests.chaos import postgres
from tests.support.mesh import Running, settings_for
from tests.support.valkey import valkey

WAITERS = 16
ROUNDS = 12
KINDS = ("one by one", "all at once")


@dataclass
class Times:
    """When each code was pushed, and by whom it was then had, in seconds."""

    pushed: dict[str, float] = field(default_factory=dict)
    woken: dict[str, float] = field(default_factory=dict)
    claimed: dict[str, float] = field(default_factory=dict)

    def since_push_ms(self, moments: dict[str, float]) -> list[float]:
        """From the answer to each push to these moments."""
        return [(moments[code] - at) * 1000 for code, at in self.pushed.items()]


def main(kind: str) -> None:
    """Measure one store and print what came of it."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres.running()) if kind == "postgres" else None
        redis_url = stack.enter_context(valkey())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="podium-bench-")))
        measured = asyncio.run(_measure(home, redis_url, server.url if server else ""))
    facts: dict[str, Any] = {"store": kind, "waiters": WAITERS, "rounds": ROUNDS}
    facts |= {name: _figures(times) for name, times in measured.items()}
    facts["load"] = os.getloadavg()[0]
    _print(facts)


async def _measure(home: Path, redis_url: str, database_url: str) -> dict[str, list[Times]]:
    async with (
        _replica(home, redis_url, database_url) as one,
        _replica(home, redis_url, database_url) as other,
    ):
        measured: dict[str, list[Times]] = {}
        for kind in KINDS:
            await _round(one, other, kind)  # Nothing is done for the first time after this.
            pairs = [(one, other), (other, one)] * (ROUNDS // 2)
            measured[kind] = [await _round(*pair, kind) for pair in pairs]
        return measured


async def _round(waits: Running, takes: Running, kind: str) -> Times:
    """Sixteen waiters, sixteen codes, sixteen different claims."""
    organization, address = f"org_{ids.token(6)}", f"{ids.token(6)}@bench.example"
    task = waits.stub(pb_grpc.TotpServiceStub, "task", organization)
    gateway = takes.stub(pb_grpc.TotpServiceStub, "gateway", organization)
    times, waiting = Times(), asyncio.Semaphore(0)
    waiters = [asyncio.create_task(_wait(task, address, times, waiting)) for _ in range(WAITERS)]
    for _ in waiters:
        await waiting.acquire()
    codes = [f"{100_000 + number * 7919}" for number in range(WAITERS)]
    if kind == "all at once":
        await asyncio.gather(*(_push(gateway, address, code, times) for code in codes))
    else:
        for done, code in enumerate(codes, 1):
            await _push(gateway, address, code, times)
            await asyncio.wait_for(_claims(times, done), 10)
    await asyncio.wait_for(asyncio.gather(*waiters), 30)
    assert sorted(times.claimed) == sorted(codes), "a code was claimed twice or not at all"
    return times


async def _wait(task: Any, address: str, times: Times, waiting: asyncio.Semaphore) -> None:
    opened = await task.OpenChallenge(pb.OpenChallengeRequest(identifier=address))
    challenge_id = opened.challenge.challenge_id
    woken = 0.0
    watch = task.WatchChallenge(pb.WatchChallengeRequest(challenge_id=challenge_id))
    async with contextlib.aclosing(watch) as states:
        async for seen in states:
            if seen.challenge.state == pb.CHALLENGE_STATE_AVAILABLE:
                woken = time.perf_counter()
                break
            waiting.release()
    answer = await task.ClaimCode(pb.ClaimCodeRequest(challenge_id=challenge_id))
    times.claimed[answer.code] = time.perf_counter()
    times.woken[answer.code] = woken


async def _push(gateway: Any, address: str, code: str, times: Times) -> None:
    await gateway.SubmitMessage(pb.SubmitMessageRequest(identifier=address, content=code))
    times.pushed[code] = time.perf_counter()


async def _claims(times: Times, wanted: int) -> None:
    while len(times.claimed) < wanted:
        await asyncio.sleep(0.005)


@asynccontextmanager
async def _replica(home: Path, redis_url: str, database_url: str) -> AsyncIterator[Running]:
    told = settings_for("totp", home, redis_url, log_level="WARNING")
    told["database_url"] = database_url
    with process("totp", told):
        channel = client.channel(told["listen"])
        try:
            async with asyncio.timeout(30):
                await channel.channel_ready()
            yield Running(None, told["listen"], channel)  # type: ignore[arg-type]
        finally:
            await channel.close()


def _figures(measured: list[Times]) -> dict[str, float]:
    woken = [ms for times in measured for ms in times.since_push_ms(times.woken)]
    claimed = [ms for times in measured for ms in times.since_push_ms(times.claimed)]
    return {
        "wake_p50_ms": statistics.median(woken),
        "wake_p95_ms": percentile(woken, 0.95),
        "wake_max_ms": max(woken),
        "code_p50_ms": statistics.median(claimed),
        "code_p95_ms": percentile(claimed, 0.95),
    }


def _print(facts: dict[str, Any]) -> None:
    print(f"totp on {facts['store']}: {WAITERS} waiters on one replica, {WAITERS} codes through")
    print(f"the other, {ROUNDS} rounds of each; load {facts['load']:.1f}")
    columns = list(facts[KINDS[0]])
    print(" " * 12 + "".join(f"{name:>14}" for name in columns))
    for kind in KINDS:
        print(f"{kind:<12}" + "".join(f"{facts[kind][name]:>14.1f}" for name in columns))
    print(json.dumps(facts))
