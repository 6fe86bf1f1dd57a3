"""Actions carried out in a session at once, without a run: what comes of them, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from google.protobuf import json_format

from libs import errors, ids
from libs.wire import as_dict
from podium.browser_session.v1 import browser_session_pb2 as session_pb
from podium.browser_session.v1.browser_session_pb2_grpc import BrowserSessionServiceStub
from podium.task.v1 import task_pb2 as pb
from podium.task.v1.task_pb2_grpc import TaskServiceStub
from services.browser_session.service import BrowserSessionService
from services.task.service import TaskService
from tests.support.mesh import Running, running
from tests.support.serving import served

PAGE = """<title>Orders</title><label>Amount <input id="amount"></label>
<button onclick="document.getElementById('said').textContent =
  'Ordered ' + document.getElementById('amount').value">Order</button>
<p id="said"></p><p id="late"></p>
<script>fetch("/late").then(r => r.text()).then(t => {
  document.getElementById("late").textContent = t; });</script>"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Place:
    """The two services, and a site that says something when it is told to."""

    url: str
    sessions: Running
    tasks: Running
    asked: asyncio.Event
    late: asyncio.Event

    def browser(self, caller: str = "gateway") -> Any:
        return self.sessions.stub(BrowserSessionServiceStub, caller)

    async def session(self) -> str:
        made = await self.browser().CreateSession(session_pb.CreateSessionRequest(), timeout=60)
        return made.session.browser_session_id

    async def act(
        self, session_id: str, *actions: dict[str, Any], organization: str = "org_a", **more: Any
    ) -> pb.ExecuteActionsResponse:
        request = json_format.ParseDict(
            {"browser_session_id": session_id, "actions": list(actions), **more},
            pb.ExecuteActionsRequest(),
        )
        stub = self.tasks.stub(TaskServiceStub, "gateway", organization)
        return await stub.ExecuteActions(request, timeout=60)

    async def until_late(self, session_id: str, **more: Any) -> asyncio.Task[Any]:
        """Actions that are under way until the site is told to say what they wait for."""
        self.asked.clear()
        self.late.clear()
        waits = {"kind": "wait_for", "text": "late news", "timeout_ms": 30_000}
        doing = asyncio.create_task(
            self.act(session_id, {"kind": "goto", "url": self.url}, waits, **more)
        )
        await asyncio.wait_for(self.asked.wait(), 30)
        return doing

    async def control(self, session_id: str) -> str:
        request = session_pb.TakeControlRequest(browser_session_id=session_id, holder="ada")
        return (await self.browser().TakeControl(request)).control.control_id


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> AsyncIterator[Place]:
    asked, late = asyncio.Event(), asyncio.Event()

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def say_late(_request: web.Request) -> web.Response:
        asked.set()
        await late.wait()
        return web.Response(text="late news")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/late", say_late)
    home = tmp_path_factory.mktemp("place")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(app))
        sessions = await stack.enter_async_context(running(BrowserSessionService, home, redis_url))
        peers = {"browser_session": sessions.address}
        tasks = await stack.enter_async_context(running(TaskService, home, redis_url, peers))
        yield Place(f"{url}/", sessions, tasks, asked, late)


async def test_each_action_answers_and_the_session_stays(place: Place):
    session_id = await place.session()
    place.late.set()

    done = await place.act(
        session_id,
        {"kind": "goto", "url": place.url},
        {"kind": "fill", "target": "Amount", "value": "3"},
        {"kind": "click", "target": "Order"},
        {"kind": "wait_for", "text": "Ordered 3"},
        {"kind": "screenshot", "name": "ordered.png"},
    )

    assert done.completed, done
    assert [one.kind for one in done.actions] == ["goto", "fill", "click", "wait_for", "screenshot"]
    assert all(one.succeeded and one.planner == "explicit" for one in done.actions)
    assert as_dict(done.actions[1])["params"]["value"] == "3"
    assert as_dict(done.actions[-1])["output"]["artifact_id"].startswith("art_")
    assert (done.url, done.title) == (place.url, "Orders")
    # The page is as it was left, and nobody holds the wheel any more.
    again = await place.act(session_id, {"kind": "wait_for", "text": "Ordered 3"})
    assert again.completed
    await place.control(session_id)


async def test_the_first_that_fails_is_the_last(place: Place):
    session_id = await place.session()
    place.late.set()

    done = await place.act(
        session_id,
        {"kind": "goto", "url": place.url},
        {"kind": "click", "target": "No such button", "timeout_ms": 300},
        {"kind": "click", "target": "Order"},
    )

    assert not done.completed
    assert [one.succeeded for one in done.actions] == [True, False]
    assert done.actions[1].failure.reason == "TARGET_NOT_FOUND"
    assert "Order" in done.actions[1].failure.message


async def test_the_time_is_for_all_of_them(place: Place):
    session_id = await place.session()
    place.late.clear()

    done = await place.act(
        session_id,
        {"kind": "goto", "url": place.url},
        {"kind": "wait_for", "text": "late news", "timeout_ms": 30_000},
        timeout="2s",
    )

    assert not done.completed
    assert done.actions[-1].failure.reason == "TIMED_OUT"


async def test_two_callers_do_not_act_at_once(place: Place):
    session_id = await place.session()
    doing = await place.until_late(session_id)

    with pytest.raises(errors.FailedPrecondition) as refused:
        await place.act(session_id, {"kind": "reload"})
    assert refused.value.reason == "CONTROL_TAKEN"
    place.late.set()
    assert (await doing).completed


async def test_a_session_of_a_run_needs_its_control(place: Place):
    session_id, run_id = await place.session(), ids.new("run")
    acquire = session_pb.AcquireSessionRequest(run_id=run_id, browser_session_id=session_id)
    await place.browser("run").AcquireSession(acquire)

    with pytest.raises(errors.FailedPrecondition) as refused:
        await place.act(session_id, {"kind": "reload"})
    assert refused.value.reason == "SESSION_OCCUPIED"
    control_id = await place.control(session_id)
    place.late.set()
    done = await place.act(session_id, {"kind": "goto", "url": place.url}, control_id=control_id)
    assert done.completed, done


async def test_they_end_with_the_control(place: Place):
    session_id = await place.session()
    control_id = await place.control(session_id)
    doing = await place.until_late(session_id, control_id=control_id)

    back = session_pb.ReturnControlRequest(browser_session_id=session_id, control_id=control_id)
    await place.browser().ReturnControl(back)

    done = await doing
    assert done.actions[-1].failure.reason == "SESSION_LOST", done


async def test_bad_requests_name_every_field(place: Place):
    session_id = await place.session()

    with pytest.raises(errors.Invalid) as refused:
        await place.act(
            session_id,
            {"kind": "clik", "target": "Order"},
            {"kind": "finish", "answer": "done"},
            control_id="nonsense",
            timeout="3000s",
        )
    fields = {field for field, _ in refused.value.violations}
    assert {"actions[0].kind", "control_id"} <= fields
    with pytest.raises(errors.Invalid, match="actions"):
        await place.act(session_id)
    with pytest.raises(errors.Invalid, match=r"actions\[0\]\.kind"):
        await place.act(session_id, {"kind": "finish", "answer": "done"})
    with pytest.raises(errors.NotFound):
        await place.act(session_id, {"kind": "reload"}, organization="org_b")
