"""Recordings: console, network and pictures of a session, kept as artifacts."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from libs import errors
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session.service import BrowserSessionService
from tests.contract.browser_session.conftest import Sessions
from tests.contract.browser_session.test_files import content
from tests.contract.browser_session.test_links import made
from tests.contract.browser_session.test_live_view import open_page
from tests.support.mesh import running
from tests.support.serving import served

PAGE = """<title>Talk</title><body><h1>hi</h1><script>
console.log("count", 7, {a: 1}); console.error("bad");
fetch("/api?q=1", {method: "POST", headers: {authorization: "Bearer hunter2"}, body: "pw=hunter2"})
  .then(() => fetch("/gone")).then(() => { document.title = "done"; throw new Error("oops"); });
</script></body>"""
DONE = (
    "new Promise(done => { const t = setInterval(() => document.title === 'done' && done(1), 20) })"
)


@pytest.fixture
async def talk() -> AsyncIterator[str]:
    async def page(request: web.Request) -> web.Response:
        answer = web.Response(text=PAGE, content_type="text/html")
        answer.set_cookie("session", "hunter2")
        return answer

    async def api(request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def gone(request: web.Request) -> web.Response:
        raise web.HTTPFound("/api")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/gone", gone)
    app.router.add_route("*", "/api", api)
    async with served(app) as url:
        yield url


async def started(sessions: Sessions, session: pb.Session, *kinds: str) -> None:
    request = pb.StartRecordingRequest(browser_session_id=session.browser_session_id, kinds=kinds)
    await sessions.as_("gateway").StartRecording(request)


async def stopped(sessions: Sessions, session: pb.Session) -> dict[str, pb.Artifact]:
    request = pb.StopRecordingRequest(browser_session_id=session.browser_session_id)
    answer = await sessions.as_("gateway").StopRecording(request, timeout=25)
    return {one.kind: one for one in answer.artifacts}


async def talked(sessions: Sessions, session: pb.Session, url: str) -> None:
    await open_page(sessions, session, url)
    await sessions.as_("gateway").Evaluate(
        pb.EvaluateRequest(browser_session_id=session.browser_session_id, expression=DONE)
    )


async def test_console_network_and_pictures_become_artifacts(sessions: Sessions, talk: str) -> None:
    session = await made(sessions)
    await started(sessions, session)
    with pytest.raises(errors.FailedPrecondition) as refused:
        await started(sessions, session)
    assert refused.value.reason == "RECORDING"
    await talked(sessions, session, talk)
    kept = await stopped(sessions, session)
    assert kept.keys() == {"console", "har", "recording"}
    assert await stopped(sessions, session) == kept
    lines = [
        json.loads(line)
        for line in (await content(sessions, kept["console"].artifact_id)).splitlines()
    ]
    said = [(line["level"], line["text"]) for line in lines]
    assert ("log", "count 7 Object") in said
    assert ("error", "bad") in said
    assert any(level == "exception" and "oops" in text for level, text in said)
    raw = await content(sessions, kept["har"].artifact_id)
    assert b"hunter2" not in raw
    entries = json.loads(raw)["log"]["entries"]
    seen = [(one["request"]["method"], one["request"]["url"], one["response"]["status"])
            for one in entries if "favicon" not in one["request"]["url"]]  # fmt: skip
    assert seen == [
        ("GET", f"{talk}/", 200),
        ("POST", f"{talk}/api?q=1", 200),
        ("GET", f"{talk}/gone", 302),
        ("GET", f"{talk}/api", 200),
    ]
    assert entries[1]["request"]["queryString"] == [{"name": "q", "value": "1"}]
    archive = zipfile.ZipFile(io.BytesIO(await content(sessions, kept["recording"].artifact_id)))
    names = archive.namelist()
    assert "000001.jpg" in names
    assert "film.ffconcat" in names
    assert archive.read("000001.jpg").startswith(b"\xff\xd8")


async def test_what_is_recorded_always_is_kept_when_the_session_ends(
    home, redis_url, talk: str
) -> None:
    async with running(
        BrowserSessionService, home, redis_url, browser_sweep_s=0.2, record_sessions="console"
    ) as service:
        sessions = Sessions(service)
        session = await made(sessions)
        await talked(sessions, session, talk)
        closing = pb.CloseSessionRequest(browser_session_id=session.browser_session_id)
        await sessions.as_("gateway").CloseSession(closing)
        listed = await sessions.as_("gateway").ListArtifacts(pb.ListArtifactsRequest())
        [kept] = listed.artifacts
        assert (kept.kind, kept.name) == ("console", "session-1.jsonl")
        assert b"count 7" in await content(sessions, kept.artifact_id)


async def test_what_is_wrong_with_a_recording_is_named(sessions: Sessions) -> None:
    session = await made(sessions)
    with pytest.raises(errors.Invalid) as refused:
        await started(sessions, session, "har", "smell")
    assert refused.value.violations[0][0] == "kinds[1]"
    with pytest.raises(errors.FailedPrecondition) as refused:
        await stopped(sessions, session)
    assert refused.value.reason == "NOT_RECORDED"
