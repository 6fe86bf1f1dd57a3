"""What a run asks of its browser session is what its pages see, from CreateRun to Chromium."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from google.protobuf import duration_pb2

from podium.browser_session.v1 import browser_session_pb2 as session_pb
from podium.browser_session.v1 import profile_pb2, settings_pb2
from podium.browser_session.v1.browser_session_pb2_grpc import BrowserSessionServiceStub
from podium.run.v1 import run_pb2
from podium.run.v1.run_pb2_grpc import RunServiceStub
from services.browser_session.service import BrowserSessionService
from services.run.service import RunService
from services.task.service import TaskService
from services.workflow.service import WorkflowService
from tests.contract.run.upstreams import Totp
from tests.support.mesh import Running, fake, running
from tests.support.serving import served

PAGE = """<title>Mirror</title><body><p id="out">looking</p><script>
const seen = {language: navigator.language, width: innerWidth,
  zone: Intl.DateTimeFormat().resolvedOptions().timeZone, agent: navigator.userAgent};
fetch("/seen", {method: "POST", body: JSON.stringify(seen)})
  .then(() => { document.getElementById("out").textContent = "seen by the mirror" });
</script>"""


@dataclass
class Mirror:
    """A page that reports how it sees the world, and the requests that came for it."""

    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    cookies: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
async def mirror() -> AsyncIterator[Mirror]:
    made = Mirror()

    async def page(request: web.Request) -> web.Response:
        made.cookies.append(dict(request.cookies))
        made.headers.append(dict(request.headers))
        return web.Response(text=PAGE, content_type="text/html")

    async def seen(request: web.Request) -> web.Response:
        made.seen.append(json.loads(await request.text()))
        return web.Response()

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_post("/seen", seen)
    async with served(app) as made.url:
        yield made


@dataclass
class Door:
    """The run service with all that it needs behind it."""

    sessions: Running
    runs: Running
    mirror: Mirror

    async def profile(self) -> str:
        cookie = {"name": "member", "value": "ada", "domain": "127.0.0.1", "path": "/"}
        state = json.dumps({"cookies": [cookie], "origins": []})
        request = profile_pb2.CreateProfileRequest(name="member", storage_state=state)
        stub = self.sessions.stub(BrowserSessionServiceStub, "gateway")
        return (await stub.CreateProfile(request)).profile.browser_profile_id

    async def run(self, wish: run_pb2.SessionWish) -> run_pb2.Run:
        """A run that looks into the mirror, at its end."""
        stub = self.runs.stub(RunServiceStub, "gateway")
        task = run_pb2.TaskSpec(url=f"{self.mirror.url}/")
        task.actions.add().update({"kind": "wait_for", "text": "seen by the mirror"})
        made = await stub.CreateRun(run_pb2.CreateRunRequest(task=task, session=wish))
        wait = run_pb2.WaitRunRequest(run_id=made.run_id, timeout=duration_pb2.Duration(seconds=60))
        ended = (await stub.WaitRun(wait, timeout=70)).run
        assert ended.state == run_pb2.RUN_STATE_COMPLETED, ended
        return ended


@pytest.fixture
async def door(mirror: Mirror, tmp_path: Path, redis_url: str) -> AsyncIterator[Door]:
    async with AsyncExitStack() as stack:

        async def begun(kind: Any, peers: dict[str, str] | None = None) -> Running:
            return await stack.enter_async_context(running(kind, tmp_path, redis_url, peers))

        sessions = await begun(BrowserSessionService)
        peers = {"browser_session": sessions.address}
        tasks = await begun(TaskService, peers)
        workflows = await begun(WorkflowService, {"task": tasks.address})
        totp = await stack.enter_async_context(fake("totp", Totp()))
        runs = await begun(RunService, {**peers, "workflow": workflows.address, "totp": totp})
        yield Door(sessions, runs, mirror)


async def test_a_runs_pages_see_what_was_asked_for(door: Door):
    options = session_pb.SessionOptions(
        viewport_width=1000,
        locale="de-CH",
        time_zone="Asia/Tokyo",
        user_agent="Acme/1.0",
        extra_headers=[settings_pb2.ExtraHeader(name="x-tenant", value="blue")],
        profile=settings_pb2.ProfileUse(browser_profile_id=await door.profile()),
    )
    reuse = settings_pb2.ReusePolicy(mode=settings_pb2.REUSE_MODE_PER_KEY, key="mirror")
    wish = run_pb2.SessionWish(options=options, reuse=reuse)

    first, second = await door.run(wish), await door.run(wish)

    seen = {"language": "de-CH", "width": 1000, "zone": "Asia/Tokyo", "agent": "Acme/1.0"}
    assert door.mirror.seen == [seen, seen]
    assert door.mirror.cookies == [{"member": "ada"}] * 2
    assert [one["x-tenant"] for one in door.mirror.headers] == ["blue", "blue"]
    assert first.browser_session_id == second.browser_session_id
