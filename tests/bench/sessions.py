"""`make bench WHAT=sessions`: how soon a session is ready, what it needs, how many are held."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis

from libs import errors
from libs.clock import Clock
from libs.events.redis import PREFIX
from libs.events.streams import FIELD
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import browser_session_pb2_grpc as pb_grpc
from podium.common.v1 import event_pb2
from services.browser_session.cdp import CdpConnection
from services.browser_session.memory import group_of, proportional_mib
from services.browser_session.orphans import processes_of
from services.browser_session.service import BrowserSessionService
from tests.support.eventually import eventually
from tests.support.mesh import Running, running
from tests.support.valkey import valkey

STREAM = f"{PREFIX}browser_session"
COLD, WARM, KEPT_WARM, KILLED = 20, 20, 5, 8
HELD = (1, 10, 20, 30)
PAGE = "data:text/html,<h1>bench</h1>" + "<p>some text of a page</p>" * 200
OPEN: dict[str, Any] = {
    "max_sessions": 40,
    "browser_most_stalled": 101.0,
    "browser_warm_refill_s": 0.0,
    "drain_grace_s": 0.1,
}


class Bench:
    """One service with real browsers, and the calls that are timed."""

    def __init__(self, service: Running, home: Path, redis_url: str) -> None:
        self._redis_url = redis_url
        self._stub = service.stub(pb_grpc.BrowserSessionServiceStub)
        self._runs = service.stub(pb_grpc.BrowserSessionServiceStub, as_="task")
        self.mesh = service.mesh
        self.folder = home / "browsers"

    async def ready(self) -> tuple[float, pb.Session]:
        """Milliseconds from the request to the answer, and the session."""
        began = time.perf_counter()
        answer = await self._stub.CreateSession(pb.CreateSessionRequest(), timeout=60)
        return (time.perf_counter() - began) * 1000, answer.session

    async def state(self, session_id: str) -> pb.Session:
        """The session as it stands."""
        request = pb.GetSessionRequest(browser_session_id=session_id)
        return (await self._stub.GetSession(request)).session

    async def close(self, session: pb.Session) -> None:
        """Ends the session."""
        request = pb.CloseSessionRequest(browser_session_id=session.browser_session_id)
        await self._stub.CloseSession(request, timeout=30)

    def folders(self, prefix: str) -> list[Path]:
        """The browsers whose folder has a name like this."""
        found = self.folder.glob(f"{prefix}*") if self.folder.is_dir() else []
        return [path for path in found if processes_of(path)]

    def kill(self, session: pb.Session) -> float:
        """Kills the session's browser; answers when."""
        [folder] = self.folders(session.browser_session_id)
        leader = min(processes_of(folder))
        killed_at = time.perf_counter()
        os.kill(leader, signal.SIGKILL)
        return killed_at

    @asynccontextmanager
    async def watched(self, session: pb.Session) -> AsyncIterator[list[asyncio.Task[float]]]:
        """When a live view of the session ends, and when the bus tells of its crash."""
        request = pb.WatchSessionRequest(browser_session_id=session.browser_session_id)
        sees = asyncio.Event()
        # The client's own types fit no protocol version.
        redis: Any = Redis.from_url(self._redis_url)
        last = await redis.xrevrange(STREAM, count=1)
        seen = last[0][0] if last else "0"

        async def ended() -> float:
            with suppress(errors.PodiumError):
                async for _ in self._stub.WatchSession(request):
                    sees.set()
            return time.perf_counter()

        async def told() -> float:
            after = seen
            while True:
                for _, entries in await redis.xread({STREAM: after}, block=10_000):
                    for entry_id, fields in entries:
                        after = entry_id
                        event = event_pb2.Event.FromString(fields[FIELD])
                        if event.type == "browser_session.crashed":
                            return time.perf_counter()

        parts = [asyncio.create_task(ended()), asyncio.create_task(told())]
        try:
            await sees.wait()
            yield parts
        finally:
            for part in parts:
                part.cancel()
            await redis.aclose()

    def memory_mib(self, folder: Path) -> float:
        """What the browser of a folder uses."""
        return proportional_mib(group_of(min(processes_of(folder))))


@asynccontextmanager
async def _bench(redis_url: str, **more: Any) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="podium-bench-") as home:
        async with running(
            BrowserSessionService, Path(home), redis_url, **{**OPEN, **more}
        ) as service:
            yield Bench(service, Path(home), redis_url)


async def _cold(redis_url: str) -> list[float]:
    async with _bench(redis_url) as bench:
        times = []
        for _ in range(COLD):
            took, session = await bench.ready()
            times.append(took)
            await bench.close(session)
        return times


async def _warm(redis_url: str) -> list[float]:
    async with _bench(redis_url, browser_warm=KEPT_WARM) as bench:
        times: list[float] = []
        while len(times) < WARM:
            await eventually(lambda: len(bench.folders("warm-")) >= KEPT_WARM, within=60)
            # Let the last of them come to rest: what is measured is taking, not launching.
            await Clock().sleep(1.0)
            made = [await bench.ready() for _ in range(KEPT_WARM)]
            times += [took for took, _ in made]
            for _, session in made:
                await bench.close(session)
        return times


async def _held(redis_url: str) -> dict[int, float]:
    """MiB for each session when this many are held, each with a page open."""
    async with _bench(redis_url) as bench, aiohttp.ClientSession() as http:
        found: dict[int, float] = {}
        for number in range(1, max(HELD) + 1):
            await bench.ready()
            if number not in HELD:
                continue
            for folder in bench.folders("bs_"):
                await _open_page(http, folder)
            whole = sum(bench.memory_mib(folder) for folder in bench.folders("bs_"))
            found[number] = whole / number
        return found


async def _open_page(http: aiohttp.ClientSession, folder: Path) -> None:
    port, path = (folder / "profile" / "DevToolsActivePort").read_text().split()
    line = await CdpConnection.open(http, f"ws://127.0.0.1:{port}{path}")
    try:
        targets = (await line.send("Target.getTargets"))["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        attach = {"targetId": page, "flatten": True}
        session = (await line.send("Target.attachToTarget", attach))["sessionId"]
        await line.send("Page.navigate", {"url": PAGE}, session)
    finally:
        await line.close()


async def _crash(redis_url: str) -> dict[str, list[float]]:
    """Milliseconds from the death of a browser (kill -9) until others know of it.

    `stream` is the end of a live view over gRPC, `event` what is told on the bus, and `state` what
    a caller is answered who asks again and again.
    """
    times: dict[str, list[float]] = {"stream": [], "event": [], "state": []}
    async with _bench(redis_url, browser_recoveries=0) as bench:
        for _ in range(KILLED):
            _, session = await bench.ready()
            async with bench.watched(session) as ends:
                killed_at = bench.kill(session)
                for name, end in zip(("stream", "event"), ends, strict=True):
                    times[name].append((await end - killed_at) * 1000)
            _, session = await bench.ready()
            killed_at = bench.kill(session)
            while (await bench.state(session.browser_session_id)).state in (
                pb.SESSION_STATE_READY,
                pb.SESSION_STATE_PROVISIONING,
            ):
                await Clock().sleep(0.002)
            times["state"].append((time.perf_counter() - killed_at) * 1000)
    return times


async def _measure() -> dict[str, Any]:
    with valkey() as redis_url:
        return {
            "cold_ms": _spread(await _cold(redis_url)),
            "warm_ms": _spread(await _warm(redis_url)),
            **{
                f"crash_{name}_ms": _spread(times)
                for name, times in (await _crash(redis_url)).items()
            },
            "mib_per_session_held": await _held(redis_url),
        }


def _spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1),
        "min": round(ordered[0], 1),
    }


def main() -> None:
    """Measures and prints."""
    load = os.getloadavg()[0]
    found = asyncio.run(_measure())
    print(f"load of the machine {load:.1f} on {os.cpu_count()} cores")
    for name in [name for name in found if name.endswith("_ms")]:
        told = "  ".join(f"{key} {value:8.1f}" for key, value in found[name].items())
        print(f"{name:<18} {told}")
    for number, mib in found["mib_per_session_held"].items():
        print(
            f"{number:>3} sessions held: {mib:6.1f} MiB each, {mib * number / 1024:.2f} GiB in all"
        )
    print(json.dumps({"load": load, **found}))


if __name__ == "__main__":
    main()
