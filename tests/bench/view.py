"""`make bench WHAT=view`: what the doors in front of a browser cost, and how live a live view is.

The same command goes to a browser straight, and through Envoy, the gateway and the CDP gateway of
browser_session, as that of a user's own driver does. The live view shows a page that changes with
every frame.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from libs.clock import Clock
from services.browser_session.browser import Browser, Look, find_binary
from tests.chaos import stage
from tests.support.serving import served

COMMANDS = 1000
WATCHED_S = 5.0
MOVING = """<title>Moving</title><body><h1 id=n></h1><div style="width:80px;height:80px;
background:#36c;position:absolute;top:120px" id=b></div><script>let n = 0; (function turn() {
n++; document.getElementById('n').textContent = n;
document.getElementById('b').style.left = (n * 5 % 1100) + 'px'; requestAnimationFrame(turn)})()
</script></body>"""


@dataclass(frozen=True)
class Measured:
    """One way to a browser."""

    way: str
    p50_ms: float
    p95_ms: float
    screenshot_p50_ms: float


@dataclass(frozen=True)
class Watched:
    """A live view."""

    way: str
    frames_per_s: float
    kib_per_frame: float


def main() -> None:
    """Measure, and print what came of it."""
    stage.end_cleanly()
    with tempfile.TemporaryDirectory(prefix="podium-bench-") as scratch:
        home = Path(scratch)
        with stage.raised(home, replicas=1) as mesh:
            commands, views = asyncio.run(_measure(home, mesh))
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{COMMANDS} x Runtime.evaluate(1), one after the other; 20 screenshots")
    for one in commands:
        more = one.p50_ms - commands[0].p50_ms
        print(
            f"  {one.way:<34} p50 {one.p50_ms:6.2f} ms  p95 {one.p95_ms:6.2f} ms"
            f"  (+{more:.2f} ms)  screenshot p50 {one.screenshot_p50_ms:6.1f} ms"
        )
    print(f"live view of a page that changes with every frame, {WATCHED_S:g} s, 1280 x 720")
    for view in views:
        print(f"  {view.way:<34} {view.frames_per_s:5.1f} frames/s, {view.kib_per_frame:.1f} KiB")
    facts = {"commands": [asdict(x) for x in commands], "views": [asdict(x) for x in views]}
    print(json.dumps(facts | {"load": os.getloadavg()[0]}))


async def _measure(home: Path, mesh: stage.Stage) -> tuple[list[Measured], list[Watched]]:
    async with aiohttp.ClientSession(headers={"x-api-key": mesh.api_key}) as http:
        rest = f"http://{mesh.edge}"
        created = await _post(http, f"{rest}/v1/browser_sessions")
        session = f"{rest}/v1/browser_sessions/{created['session']['browser_session_id']}"
        drive = await _post(http, f"{session}/links", right="RIGHT_DRIVE")
        view = await _post(http, f"{session}/links", right="RIGHT_VIEW")
        async with _direct(home) as direct, _moving() as url:
            commands = [
                await _commands(http, "straight to the browser", direct),
                await _commands(http, "through the edge, by a link", drive["cdp_url"]),
            ]
            await _post(http, f"{session}:open", url=url)
            live = view["cdp_url"].replace("/cdp?", "/live?")
            views = [await _watch(http, "through the edge, by a link", live)]
        await _post(http, f"{session}:close")
        return commands, views


async def _post(http: aiohttp.ClientSession, at: str, **body: object) -> dict[str, Any]:
    async with http.post(at, json=body) as answer:
        answer.raise_for_status()
        return await answer.json()


@asynccontextmanager
async def _direct(home: Path) -> AsyncIterator[str]:
    """A browser of our own, with nothing in front of it."""
    browser = await Browser.launch(
        find_binary(), home / "direct", Look(1280, 720), Clock(), timeout_s=30
    )
    try:
        yield browser.cdp_url
    finally:
        await browser.kill()


@asynccontextmanager
async def _moving() -> AsyncIterator[str]:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text=MOVING, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    async with served(app) as url:
        yield url


async def _commands(http: aiohttp.ClientSession, way: str, url: str) -> Measured:
    async with http.ws_connect(url, max_msg_size=0) as socket:
        found = await _asked(socket, "Target.getTargets")
        page = next(one["targetId"] for one in found["targetInfos"] if one["type"] == "page")
        attached = await _asked(socket, "Target.attachToTarget", targetId=page, flatten=True)
        at = attached["sessionId"]
        took = [
            await _timed(_asked(socket, "Runtime.evaluate", at, expression="1"))
            for _ in range(COMMANDS)
        ]
        shots = [await _timed(_asked(socket, "Page.captureScreenshot", at)) for _ in range(20)]
    cuts = statistics.quantiles(took, n=100)
    return Measured(way, cuts[49], cuts[94], statistics.median(shots))


async def _timed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1000


async def _asked(socket: Any, method: str, session: str = "", **params: object) -> dict[str, Any]:
    number = time.perf_counter_ns() % 2**31
    message = {"id": number, "method": method, "params": params}
    await socket.send_json(message | ({"sessionId": session} if session else {}))
    while (answer := await socket.receive_json()).get("id") != number:
        pass
    return answer["result"]


async def _watch(http: aiohttp.ClientSession, way: str, url: str) -> Watched:
    frames, size, began = 0, 0, math.inf
    async with http.ws_connect(url, max_msg_size=0) as socket:
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.BINARY:
                continue
            began = min(began, time.perf_counter())
            if time.perf_counter() - began > WATCHED_S:
                break
            frames, size = frames + 1, size + len(frame.data)
    return Watched(way, frames / WATCHED_S, size / max(1, frames) / 1024)
