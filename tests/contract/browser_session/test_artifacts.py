"""What comes out of a session: downloads and screenshots, whole and with the right names."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from libs import errors
from podium.browser_session.v1 import browser_session_pb2 as pb
from tests.contract.browser_session.conftest import REPORT, Sessions, Site


async def content(sessions: Sessions, artifact_id: str, organization: str = "org_a") -> bytes:
    stub = sessions.as_("gateway", organization)
    pieces = stub.GetArtifactContent(pb.GetArtifactContentRequest(artifact_id=artifact_id))
    return b"".join([piece.data async for piece in pieces])


async def await_download(
    sessions: Sessions, session: pb.Session, after: str = "", wait_s: int = 10
) -> pb.Artifact:
    request = pb.AwaitDownloadRequest(
        browser_session_id=session.browser_session_id, after_artifact_id=after
    )
    request.wait.FromSeconds(wait_s)
    return (await sessions.as_("task").AwaitDownload(request, timeout=20)).artifact


class Driver:
    """A page of the session, driven by Playwright through the gateway."""

    def __init__(self, sessions: Sessions, session: pb.Session) -> None:
        self._sessions, self._session = sessions, session

    async def __aenter__(self) -> Page:
        way = await self._sessions.attach(self._session)
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.connect_over_cdp(
            way.cdp_url, headers={"authorization": f"Bearer {way.token}"}
        )
        return self._browser.contexts[0].pages[0]

    async def __aexit__(self, *_: object) -> None:
        await self._browser.close()
        await self._playwright.stop()


async def test_a_download_becomes_an_artifact_with_the_same_bytes(
    sessions: Sessions, site: Site, home: Path
) -> None:
    session = await sessions.acquire()
    for _ in range(2):  # The second driver connects after the first has left.
        after = (await sessions.attach(session)).last_artifact_id
        waiting = asyncio.create_task(await_download(sessions, session, after))
        async with Driver(sessions, session) as page:
            await page.goto(site.url)
            await page.click("#get")
            kept = await waiting
    assert kept.kind == "download"
    assert kept.name == "_or;ders 2026.csv"
    assert kept.content_type == "text/csv"
    assert kept.run_id == session.run_id
    assert kept.size_bytes == len(REPORT)
    assert kept.sha256 == hashlib.sha256(REPORT).hexdigest()
    assert await content(sessions, kept.artifact_id) == REPORT
    folder = home / "artifacts" / "org_a" / session.browser_session_id
    assert len(list(folder.iterdir())) == 2
    listed = await sessions.as_("task").ListArtifacts(
        pb.ListArtifactsRequest(run_id=session.run_id, page_size=1)
    )
    assert listed.artifacts[0] == kept
    assert listed.next_page_token


async def test_an_empty_download_is_a_file_too(sessions: Sessions, site: Site) -> None:
    session = await sessions.acquire()
    async with Driver(sessions, session) as page:
        await page.goto(site.url)
        await page.evaluate("location.href = '/nothing'")
        kept = await await_download(sessions, session)
    assert (kept.name, kept.size_bytes) == ("empty.txt", 0)
    assert await content(sessions, kept.artifact_id) == b""


async def test_nonsense_is_refused_by_the_name_of_its_field(sessions: Sessions) -> None:
    stub = sessions.as_("gateway")
    for call, field in (
        (stub.GetSession(pb.GetSessionRequest()), "browser_session_id"),
        (stub.GetArtifact(pb.GetArtifactRequest(artifact_id="bs_1")), "artifact_id"),
        (stub.ListArtifacts(pb.ListArtifactsRequest(page_size=-1)), "page_size"),
        (stub.ListArtifacts(pb.ListArtifactsRequest(run_id="x")), "run_id"),
        (stub.CreateSession(pb.CreateSessionRequest(request_id="r" * 200)), "request_id"),
        (sessions.acquire("run_?"), "run_id"),
        (content(sessions, "x"), "artifact_id"),
    ):
        with pytest.raises(errors.Invalid) as refused:
            await call
        assert refused.value.violations[0][0] == field


async def test_waiting_for_a_download_ends_in_time(sessions: Sessions) -> None:
    session = await sessions.acquire()
    with pytest.raises(errors.DeadlineExceeded, match="download"):
        await await_download(sessions, session, wait_s=1)


async def test_waiting_for_a_download_ends_with_the_session(sessions: Sessions) -> None:
    session = await sessions.acquire()
    waiting = asyncio.create_task(await_download(sessions, session, wait_s=15))
    await sessions.as_("run").CloseSession(
        pb.CloseSessionRequest(browser_session_id=session.browser_session_id)
    )
    with pytest.raises(errors.FailedPrecondition, match="ended"):
        await asyncio.wait_for(waiting, 3)


async def test_a_screenshot_shows_the_page_last_acted_on(sessions: Sessions, site: Site) -> None:
    session = await sessions.acquire()
    async with Driver(sessions, session) as page:
        await page.goto(site.url)
        other = await page.context.new_page()
        await other.set_viewport_size({"width": 300, "height": 200})
        await other.goto(site.url)
        assert (await capture(sessions, session, name="x/other"))[0] == (300, 200)
        await page.click("#name")
        assert (await capture(sessions, session))[0] == (1280, 720)
        size, kept = await capture(sessions, session, full_page=True)
    assert size[0] == 1280
    assert size[1] >= 3000
    assert kept.name.startswith("screenshot-")
    assert kept.content_type == "image/png"


async def capture(
    sessions: Sessions, session: pb.Session, **fields: Any
) -> tuple[tuple[int, int], pb.Artifact]:
    request = pb.CaptureScreenshotRequest(browser_session_id=session.browser_session_id, **fields)
    kept = (await sessions.as_("task").CaptureScreenshot(request)).artifact
    image = await content(sessions, kept.artifact_id)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", image[16:24])
    return (width, height), kept


async def test_artifacts_outlive_their_session_and_stay_in_their_organisation(
    sessions: Sessions,
) -> None:
    session = await sessions.acquire()
    _, kept = await capture(sessions, session)
    await sessions.as_("run").ReleaseSession(
        pb.ReleaseSessionRequest(
            browser_session_id=session.browser_session_id, run_id=session.run_id
        )
    )
    found = await sessions.as_("gateway").GetArtifact(
        pb.GetArtifactRequest(artifact_id=kept.artifact_id)
    )
    assert found.artifact == kept
    assert await content(sessions, kept.artifact_id)
    with pytest.raises(errors.NotFound):
        await content(sessions, kept.artifact_id, "org_b")
    with pytest.raises(errors.NotFound):
        await sessions.as_("gateway", "org_b").GetArtifact(
            pb.GetArtifactRequest(artifact_id=kept.artifact_id)
        )
