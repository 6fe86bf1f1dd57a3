"""Files: taken in whole or in pieces, handed on by link, removed when their time is over."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs import errors, ids
from libs.events.redis import PREFIX, connect
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session.service import BrowserSessionService
from tests.contract.browser_session.conftest import Sessions, Site
from tests.contract.browser_session.test_links import made
from tests.support.eventually import eventually
from tests.support.mesh import running

FORM = bytes(range(256)) * 1000


@pytest.fixture
async def strict(home: Path, redis_url: str) -> AsyncIterator[Sessions]:
    """A service that keeps little, and not for long."""
    async with running(
        BrowserSessionService,
        home,
        redis_url,
        browser_sweep_s=0.2,
        largest_upload_mib=1,
        largest_download_mib=1,
        refused_files="*.csv, application/zip",
        artifact_days=1e-5,
        retention_sweep_s=0.1,
    ) as service:
        yield Sessions(service)


async def upload(sessions: Sessions, **fields) -> pb.UploadArtifactResponse:
    return await sessions.as_("gateway").UploadArtifact(pb.UploadArtifactRequest(**fields))


async def content(sessions: Sessions, artifact_id: str, caller: str = "task") -> bytes:
    request = pb.GetArtifactContentRequest(artifact_id=artifact_id)
    return b"".join(
        [piece.data async for piece in sessions.as_(caller).GetArtifactContent(request)]
    )


async def test_a_file_comes_in_pieces_and_a_repeated_piece_counts_once(
    sessions: Sessions,
) -> None:
    first = await upload(sessions, name="../form.pdf", data=FORM[:100_000], more=True)
    assert not first.HasField("artifact")
    rest = {"artifact_id": first.artifact_id, "offset": 100_000, "data": FORM[100_000:]}
    with pytest.raises(errors.FailedPrecondition) as refused:
        await upload(sessions, **{**rest, "offset": 200_000})
    assert refused.value.metadata["offset"] == "100000"
    await upload(sessions, **rest, more=True)
    kept = (await upload(sessions, **rest)).artifact
    assert (kept.kind, kept.name, kept.content_type) == ("upload", "form.pdf", "application/pdf")
    assert (kept.size_bytes, kept.sha256) == (len(FORM), hashlib.sha256(FORM).hexdigest())
    assert kept.expire_time.ToSeconds() - kept.create_time.ToSeconds() == 30 * 86_400
    assert await content(sessions, kept.artifact_id) == FORM
    with pytest.raises(errors.NotFound):
        request = pb.GetArtifactRequest(artifact_id=kept.artifact_id)
        await sessions.as_("gateway", "org_b").GetArtifact(request)


async def test_a_link_fetches_one_file_without_an_organisation(sessions: Sessions) -> None:
    kept = (await upload(sessions, name="a.txt", data=b"hello")).artifact
    other = (await upload(sessions, name="b.txt", data=b"other")).artifact
    request = pb.CreateArtifactLinkRequest(artifact_id=kept.artifact_id)
    url = (await sessions.as_("gateway").CreateArtifactLink(request)).url
    token = url.partition("token=")[2]
    anybody = sessions.as_("gateway", "")

    async def fetched(artifact_id: str, token: str) -> bytes:
        asked = pb.DownloadArtifactRequest(artifact_id=artifact_id, token=token)
        return b"".join([piece.data async for piece in anybody.DownloadArtifact(asked)])

    assert await fetched(kept.artifact_id, token) == b"hello"
    for artifact_id, wrong in ((other.artifact_id, token), (kept.artifact_id, token[:-4] + "AAAA")):
        with pytest.raises(errors.Unauthenticated) as refused:
            await fetched(artifact_id, wrong)
        assert refused.value.reason == "LINK_INVALID"
    deleting = pb.DeleteArtifactRequest(artifact_id=kept.artifact_id)
    for _ in range(2):
        await sessions.as_("gateway").DeleteArtifact(deleting)
    with pytest.raises(errors.NotFound):
        await fetched(kept.artifact_id, token)
    assert await content(sessions, other.artifact_id) == b"other"


async def test_what_is_too_large_or_not_wanted_is_refused_and_the_old_is_removed(
    strict: Sessions, site: Site, home: Path, redis_url: str
) -> None:
    for fields, field in (
        ({"name": "a.zip", "data": b"x"}, "name"),
        ({"name": "orders.CSV", "data": b"x"}, "name"),
        ({"name": "", "data": b"x"}, "name"),
        ({"name": "a.txt", "data": bytes(1024 * 1024 + 1)}, "data"),
        ({"name": "a.txt", "offset": 5}, "offset"),
        ({"artifact_id": "x"}, "artifact_id"),
    ):
        with pytest.raises(errors.Invalid) as refused:
            await upload(strict, **fields)
        assert refused.value.violations[0][0] == field
    with pytest.raises(errors.NotFound):
        await upload(strict, artifact_id=ids.new("art"), offset=1, data=b"x")
    redis = connect(redis_url)
    session = await made(strict)
    opening = pb.OpenPageRequest(browser_session_id=session.browser_session_id, url=site.url)
    await strict.as_("gateway").OpenPage(opening)
    script = "document.getElementById('get').click()"
    await strict.as_("gateway").Evaluate(
        pb.EvaluateRequest(browser_session_id=session.browser_session_id, expression=script)
    )

    async def has_been_refused() -> bool:
        events = await redis.xrange(f"{PREFIX}browser_session")
        return "browser_session.download_refused" in repr(events)

    await eventually(has_been_refused, within=10)
    await redis.aclose()
    kept = (await upload(strict, name="a.txt", data=b"hello")).artifact
    files = home / "artifacts" / "org_a" / "uploads"

    async def is_gone() -> bool:
        listed = await strict.as_("gateway").ListArtifacts(pb.ListArtifactsRequest())
        return not listed.artifacts and not (files / kept.artifact_id).exists()

    await eventually(is_gone, within=10)
