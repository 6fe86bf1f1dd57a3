from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from libs import errors
from libs.clock import ManualClock
from libs.secrets import Vault
from services.browser_session.tokens import InvalidToken
from services.browser_session.view.console import ConsoleLog
from services.browser_session.view.gestures import commands, parse
from services.browser_session.view.har import HarLog, News, archive
from services.browser_session.view.limits import Limits
from services.browser_session.view.links import Link, Links
from services.browser_session.view.rights import ALLOWED, Right
from services.browser_session.view.wheel import LONGEST_ACTION_S, QUIET_S, AgentLine, Wheel


class Line:
    """An agent's connection that remembers what went through it."""

    def __init__(self) -> None:
        self.forwarded: list[str] = []
        self.answered: list[str] = []
        self.line = AgentLine(self._forward, self._reply)

    async def _forward(self, text: str) -> None:
        self.forwarded.append(text)

    async def _reply(self, text: str) -> None:
        self.answered.append(text)


async def passed(clock: ManualClock, seconds: float) -> None:
    """Lets time go by in the steps in which somebody may look at it."""
    for _ in range(round(seconds / 0.02) + 1):
        clock.advance(0.02)
        for _ in range(3):
            await asyncio.sleep(0)


async def test_an_agent_that_rests_waits_until_the_wheel_is_free() -> None:
    clock = ManualClock()
    wheel, agent = Wheel(clock), Line()
    wheel.join(agent.line)
    await wheel.rest(agent.line, "first")
    assert agent.answered == ["first"]
    wheel.take("ctl_1")
    await wheel.rest(agent.line, "second")
    await wheel.settle()
    await wheel.act(agent.line, "click")
    assert (agent.answered, agent.forwarded) == (["first"], [])
    await wheel.free()
    assert (agent.answered, agent.forwarded) == (["first", "second"], ["click"])


async def test_an_action_under_way_comes_to_its_end_but_not_for_ever() -> None:
    clock = ManualClock()
    wheel, agent = Wheel(clock), Line()
    wheel.join(agent.line)
    await wheel.act(agent.line, "press")
    wheel.take("ctl_1")
    settling = asyncio.create_task(wheel.settle())
    await asyncio.sleep(0)
    await wheel.act(agent.line, "release")
    assert agent.forwarded == ["press", "release"]
    await passed(clock, QUIET_S)
    await settling
    await wheel.act(agent.line, "more")
    assert agent.forwarded == ["press", "release"]
    await wheel.free()
    wheel.take("ctl_2")
    settling = asyncio.create_task(wheel.settle())
    for number in range(round(LONGEST_ACTION_S / 0.1) + 2):
        await wheel.act(agent.line, f"move {number}")
        await passed(clock, 0.08)
    await settling
    assert agent.line.kept_back


def test_a_link_opens_its_subject_until_its_time() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    links = Links(Vault.from_text(Vault.fresh_text()), clock)
    link = Link(Right.DRIVE, "org_a", "bs_1", links.until(timedelta(seconds=60)), 3, "ctl_1")
    token = links.seal(link).reveal()
    assert links.open(token, "bs_1") == link
    assert "org_a" not in token
    for wrong, subject in (
        (token, "bs_2"),
        (token[:-2] + "AA", "bs_1"),
        ("", "bs_1"),
        ("é", "bs_1"),
    ):
        with pytest.raises(InvalidToken):
            links.open(wrong, subject)
    others = Links(Vault.from_text(Vault.fresh_text()), clock)
    with pytest.raises(InvalidToken):
        others.open(token, "bs_1")
    clock.advance(60)
    with pytest.raises(InvalidToken, match="expired"):
        links.open(token, "bs_1")
    soon = clock.now() + timedelta(seconds=5)
    assert links.until(None, soon) == soon
    with pytest.raises(errors.Invalid):
        links.until(timedelta(days=2))


def test_looking_and_steering_leave_no_way_to_scripts_cookies_or_the_dom() -> None:
    for right in (Right.VIEW, Right.STEER):
        for name in ALLOWED[right]:
            assert name.split(".")[0] in {"Browser", "Input", "Page", "Podium", "Target"}
    assert "Page.addScriptToEvaluateOnNewDocument" not in ALLOWED[Right.STEER]
    assert not any(name.startswith("Input.") for name in ALLOWED[Right.VIEW])


def test_an_archive_has_times_and_sizes_and_no_secrets() -> None:
    har, news = HarLog(), list[News]()
    request = {
        "method": "POST",
        "url": "http://a/login?next=%2F",
        "headers": {"Cookie": "hunter2", "Accept": "*/*", "Content-Type": "text/plain"},
        "hasPostData": True,
        "postData": "hunter2",
    }
    sent = {"requestId": "1", "request": request, "wallTime": 1_700_000_000.5, "timestamp": 10.0}
    news += har.take("Network.requestWillBeSent", sent)
    moved = {"status": 302, "headers": {"Location": "/home", "Set-Cookie": "hunter2"}}
    again = sent | {
        "request": {"method": "GET", "url": "http://a/home", "headers": {}},
        "redirectResponse": moved,
        "timestamp": 10.25,
    }
    news += har.take("Network.requestWillBeSent", again)
    found = {"status": 200, "headers": {}, "mimeType": "text/html", "protocol": "h2"}
    news += har.take(
        "Network.responseReceived", {"requestId": "1", "response": found, "timestamp": 10.5}
    )
    done = {"requestId": "1", "timestamp": 10.75, "encodedDataLength": 123.0}
    news += har.take("Network.loadingFinished", done)
    news += har.take("Network.requestWillBeSent", sent | {"requestId": "2", "timestamp": 11.0})
    news += har.take(
        "Network.loadingFailed", {"requestId": "2", "timestamp": 11.5, "errorText": "no"}
    )
    entries = archive(news, "1")["log"]["entries"]
    assert "hunter2" not in json.dumps(entries)
    first, second, third = entries
    assert (first["response"]["status"], first["response"]["redirectURL"]) == (302, "/home")
    assert first["time"] == 250
    assert (second["timings"]["wait"], second["timings"]["receive"]) == (250, 250)
    assert second["response"]["bodySize"] == 123
    assert third["response"]["_error"] == "no"
    assert first["request"]["queryString"] == [{"name": "next", "value": "/"}]


def test_a_console_says_what_and_where() -> None:
    console = ConsoleLog()
    args = [{"type": "string", "value": "n"}, {"type": "number", "value": 7}]
    place = {"callFrames": [{"url": "http://a/", "lineNumber": 2}]}
    said = {"type": "log", "args": args, "timestamp": 1.7e12, "stackTrace": place}
    line = console.take("Runtime.consoleAPICalled", said)
    assert json.loads(line) == {
        "at": "2023-11-14T22:13:20.000+00:00",
        "level": "log",
        "text": "n 7",
        "url": "http://a/",
        "line": 3,
    }


def test_keys_and_clicks_become_what_the_browser_understands() -> None:
    down, up = commands(parse("event", {"type": "key", "key": "Enter"}))
    assert (down[1]["text"], down[1]["windowsVirtualKeyCode"]) == ("\r", 13)
    assert up[1]["type"] == "keyUp"
    held = commands(parse("event", {"type": "key", "key": "a", "modifiers": ["control"]}))
    assert "text" not in held[0][1]
    clicked = commands(parse("event", {"type": "click", "x": 1, "y": 2, "click_count": 2}))
    assert [params["type"] for _, params in clicked] == [
        "mouseMoved",
        "mousePressed",
        "mouseReleased",
    ]
    assert parse("event", {"type": "back"}).steps == -1
    with pytest.raises(errors.Invalid):
        parse("event", {"type": "click", "x": "left"})


def test_what_is_not_kept_is_told_by_name_or_type() -> None:
    limits = Limits.of(1, 1, "*.exe, application/zip", 0)
    assert limits.why_not("Setup.EXE", "application/octet-stream")
    assert limits.why_not("a", "application/zip; x=1")
    assert not limits.why_not("a.txt", "text/plain")
    assert limits.keep_for is None
