"""The live view: pictures for who looks, the wheel for who acts while the agent waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from google.protobuf import duration_pb2

from libs import errors, ids
from podium.browser_session.v1 import browser_session_pb2 as pb
from tests.contract.browser_session.conftest import Sessions
from tests.contract.browser_session.test_links import asked, bearer, link, located, made
from tests.support.eventually import eventually
from tests.support.serving import served

PAGE = """<title>Form</title><body style="margin:0">
<input id="name" style="position:absolute;left:20px;top:20px;width:200px;height:30px">
<button onclick="document.title = 'Sent ' + document.getElementById('name').value"
 style="position:absolute;left:20px;top:80px;width:200px;height:30px">send</button></body>"""
MOVING = """<title>Moving</title><body><h1 id="n"></h1><script>
let n = 0; setInterval(() => document.getElementById('n').textContent = n++, 15)</script></body>"""


@pytest.fixture
async def form() -> AsyncIterator[str]:
    async def page(request: web.Request) -> web.Response:
        text = MOVING if request.path == "/moving" else PAGE
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/moving", page)
    async with served(app) as url:
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def open_page(sessions: Sessions, session: pb.Session, url: str) -> None:
    request = pb.OpenPageRequest(browser_session_id=session.browser_session_id, url=url)
    await sessions.as_("gateway").OpenPage(request)


async def title(sessions: Sessions, session: pb.Session) -> str:
    request = pb.GetContentRequest(browser_session_id=session.browser_session_id)
    return (await sessions.as_("gateway").GetContent(request)).title


async def take(sessions: Sessions, session: pb.Session, **more: Any) -> pb.TakeControlResponse:
    request = pb.TakeControlRequest(browser_session_id=session.browser_session_id, **more)
    return await sessions.as_("gateway").TakeControl(request)


async def hand_back(sessions: Sessions, session: pb.Session) -> None:
    request = pb.ReturnControlRequest(browser_session_id=session.browser_session_id)
    await sessions.as_("gateway").ReturnControl(request)


async def test_pictures_come_as_a_stream_and_follow_the_page(sessions: Sessions, form: str) -> None:
    session = await made(sessions)
    request = pb.WatchSessionRequest(
        browser_session_id=session.browser_session_id, max_per_second=30
    )
    seen = 0
    async with asyncio.timeout(20):
        async for picture in sessions.as_("gateway").WatchSession(request):
            assert picture.jpeg.startswith(b"\xff\xd8")
            assert (picture.width, picture.height) == (1280, 720)
            if picture.sequence == 1:
                await open_page(sessions, session, f"{form}/moving")
            seen += picture.title == "Moving"
            if seen == 10:
                break
    assert picture.url == f"{form}/moving"


async def test_pictures_end_with_the_session(sessions: Sessions) -> None:
    session = await made(sessions)
    request = pb.WatchSessionRequest(browser_session_id=session.browser_session_id)
    pictures = sessions.as_("gateway").WatchSession(request)
    await anext(pictures)
    closing = pb.CloseSessionRequest(browser_session_id=session.browser_session_id)
    await sessions.as_("gateway").CloseSession(closing)
    async with asyncio.timeout(5):
        async for _ in pictures:
            pass


async def test_who_looks_over_websocket_cannot_act_and_who_drives_can(
    sessions: Sessions, form: str, http: aiohttp.ClientSession
) -> None:
    session = await made(sessions)
    await open_page(sessions, session, form)
    for right, outcome in ((pb.RIGHT_VIEW, "Form"), (pb.RIGHT_DRIVE, "Sent Ada")):
        token = await link(sessions, session, right)
        url = await located(sessions, session, token)
        async with http.ws_connect(f"{url}/live", headers=bearer(token)) as socket:
            about = await socket.receive_json()
            assert about["may_act"] == (right == pb.RIGHT_DRIVE)
            assert (await socket.receive_bytes()).startswith(b"\xff\xd8")
            for gesture in (
                {"type": "click", "x": 50, "y": 35},
                {"type": "text", "text": "Ada"},
                {"type": "click", "x": 50, "y": 95},
            ):
                await socket.send_json(gesture)
            if right == pb.RIGHT_VIEW:
                while (frame := await socket.receive()).type is not aiohttp.WSMsgType.TEXT:
                    pass
                assert "only look" in frame.data

            async def has_come(outcome: str = outcome) -> bool:
                return await title(sessions, session) == outcome

            await eventually(has_come, within=5)


class Agent:
    """A driver with a run's token, as the task service has it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.page = ""
        self._number = 100

    async def begin(self) -> None:
        targets = (await asked(self._socket, "Target.getTargets"))["result"]["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        answer = await asked(self._socket, "Target.attachToTarget", targetId=target, flatten=True)
        self.page = answer["result"]["sessionId"]

    async def say(self, method: str, **params: Any) -> dict[str, Any]:
        return await asked(self._socket, method, self.page, **params)


async def test_the_agent_waits_while_a_person_holds_the_wheel(
    sessions: Sessions, form: str, http: aiohttp.ClientSession
) -> None:
    session = await made(sessions)
    await open_page(sessions, session, form)
    held = await sessions.acquire(browser_session_id=session.browser_session_id)
    way = await sessions.attach(held)
    socket = await http.ws_connect(way.cdp_url, headers=bearer(way.token))
    agent = Agent(socket)
    await agent.begin()
    assert "result" in await agent.say("Podium.awaitWheel")
    taken = await take(sessions, held, holder="Ada")
    assert taken.control.agent_rests
    waiting = asyncio.create_task(agent.say("Podium.awaitWheel"))
    event = pb.InputEvent(type="click", x=50, y=35)
    text = pb.InputEvent(type="text", text="Ada")
    send = pb.InputEvent(type="click", x=50, y=95)
    mine = {"browser_session_id": held.browser_session_id, "events": [event, text, send]}
    with pytest.raises(errors.FailedPrecondition) as refused:
        await sessions.as_("gateway").SendInput(pb.SendInputRequest(**mine))
    assert refused.value.reason == "SESSION_OCCUPIED"
    await sessions.as_("gateway").SendInput(
        pb.SendInputRequest(**mine, control_id=taken.control.control_id)
    )
    assert await title(sessions, held) == "Sent Ada"
    assert not waiting.done()
    with pytest.raises(errors.FailedPrecondition) as refused:
        await take(sessions, held, holder="Bob")
    assert refused.value.reason == "CONTROL_TAKEN"
    assert "Ada" in refused.value.message
    await hand_back(sessions, held)
    async with asyncio.timeout(5):
        assert "result" in await waiting
    await hand_back(sessions, held)
    await socket.close()


async def test_what_an_agent_does_under_a_persons_hands_is_kept_back(
    sessions: Sessions, form: str, http: aiohttp.ClientSession
) -> None:
    session = await made(sessions)
    held = await sessions.acquire(browser_session_id=session.browser_session_id)
    way = await sessions.attach(held)
    async with http.ws_connect(way.cdp_url, headers=bearer(way.token)) as socket:
        agent = Agent(socket)
        await agent.begin()
        await take(sessions, held)
        acting = asyncio.create_task(agent.say("Page.navigate", url=form))
        looked = pb.GetContentRequest(browser_session_id=held.browser_session_id)
        assert (await sessions.as_("gateway").GetContent(looked)).url == "about:blank"
        assert not acting.done()
        await hand_back(sessions, held)
        async with asyncio.timeout(5):
            assert "result" in await acting


async def test_a_wheel_is_held_for_a_while_and_its_links_end_with_it(
    sessions: Sessions, http: aiohttp.ClientSession
) -> None:
    session = await made(sessions)
    held = await sessions.acquire(browser_session_id=session.browser_session_id)
    taken = await take(sessions, held, ttl=duration_pb2.Duration(seconds=2))
    control_id = taken.control.control_id
    renewed = await take(
        sessions, held, control_id=control_id, ttl=duration_pb2.Duration(seconds=3)
    )
    assert renewed.control.control_id == control_id
    token = await link(sessions, held, pb.RIGHT_DRIVE, control_id=control_id)
    url = await located(sessions, held, token)
    async with http.ws_connect(url, headers=bearer(token)) as socket:
        assert "result" in await asked(socket, "Target.getTargets")
        assert (await socket.receive(timeout=8))[:2] == (aiohttp.WSMsgType.CLOSE, 4408)
    with pytest.raises(errors.FailedPrecondition) as refused:
        await take(sessions, held, control_id=control_id)
    assert refused.value.reason == "CONTROL_OVER"
    # The page of the one who took it holds it for as long as it is open.
    taken = await take(sessions, held, ttl=duration_pb2.Duration(seconds=1))
    token = taken.live_url.partition(".")[2]
    async with http.ws_connect(f"{url}/live", headers=bearer(token)) as socket:
        assert (await socket.receive_json())["may_act"]

        async def has_been_renewed() -> bool:
            request = pb.GetActivityRequest(browser_session_id=held.browser_session_id)
            control = (await sessions.as_("gateway").GetActivity(request)).control
            left_s = control.expire_time.ToSeconds() - taken.control.take_time.ToSeconds()
            return left_s > 30

        await eventually(has_been_renewed, within=5)


async def test_what_is_wrong_with_a_gesture_is_named(sessions: Sessions) -> None:
    session = await made(sessions)
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"type": "jump"}, "events[0].type"),
        ({"type": "click", "button": "fourth"}, "events[0].button"),
        ({"type": "key", "key": "Hyper"}, "events[0].key"),
        ({"type": "text"}, "events[0].text"),
        ({"type": "click", "modifiers": ["hyper"]}, "events[0].modifiers"),
        ({"type": "navigate", "url": "file:///etc/passwd"}, "url"),
    )
    for event, field in wrong:
        request = pb.SendInputRequest(
            browser_session_id=session.browser_session_id, events=[pb.InputEvent(**event)]
        )
        with pytest.raises(errors.Invalid) as refused:
            await sessions.as_("gateway").SendInput(request)
        assert refused.value.violations[0][0] == field
    with pytest.raises(errors.NotFound):
        await take(sessions, pb.Session(browser_session_id=ids.new("bs")))
