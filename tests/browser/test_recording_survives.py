"""A replica is killed while it records: what it had recorded by then is kept by another."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from libs import context
from libs.rpc import client
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import browser_session_pb2_grpc as pb_grpc
from services.browser_session.service import BrowserSessionService
from tests.browser.test_session_service_killed import acquire
from tests.contract.browser_session.conftest import Sessions
from tests.contract.browser_session.test_files import content
from tests.support.eventually import eventually
from tests.support.mesh import running, token
from tests.support.processes import ServiceProcess, service_process

TALKS = "console.log('before the end'); document.title = 'talked'"


@pytest.fixture
async def survivor(tmp_path: Path, redis_url: str) -> AsyncIterator[Sessions]:
    async with running(
        BrowserSessionService, tmp_path, redis_url, browser_sweep_s=0.2, browser_warm=0
    ) as service:
        yield Sessions(service)


async def asked(replica: ServiceProcess, method: str, request: Any) -> Any:
    """What the replica answers a caller from outside."""
    channel = client.channel(replica.address)
    stub = client.stub(pb_grpc.BrowserSessionServiceStub, channel, token("gateway"))
    try:
        with context.bind(organization_id="org_a"):
            return await getattr(stub, method)(request)
    finally:
        await channel.close()


def recorded(home: Path, name: str, part: bytes) -> bool:
    return any(part in path.read_bytes() for path in home.rglob(name))


async def test_what_was_recorded_survives(
    tmp_path: Path, redis_url: str, survivor: Sessions
) -> None:
    with service_process("browser_session", tmp_path, redis_url) as doomed:
        session = await acquire(doomed)
        name: dict[str, Any] = {"browser_session_id": session.browser_session_id}
        await asked(doomed, "StartRecording", pb.StartRecordingRequest(**name))
        taken = pb.TakeControlRequest(**name)
        control = (await asked(doomed, "TakeControl", taken)).control.control_id
        says = pb.EvaluateRequest(**name, expression=TALKS, control_id=control)
        await asked(doomed, "Evaluate", says)
        await eventually(lambda: recorded(tmp_path, "console.lines", b"before the end"), within=10)
        await eventually(lambda: recorded(tmp_path, "recording.lines", b"000001.jpg"), within=10)
        doomed.kill()

    async def kept() -> dict[str, pb.Artifact] | None:
        request = pb.ListArtifactsRequest(browser_session_id=session.browser_session_id)
        listed = (await survivor.as_("gateway").ListArtifacts(request)).artifacts
        found = {one.kind: one for one in listed}
        return found if found.keys() == {"console", "har", "recording"} else None

    found = await eventually(kept, within=20)
    assert {one.run_id for one in found.values()} == {session.run_id}
    lines = (await content(survivor, found["console"].artifact_id)).splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["before the end"]
    archive = json.loads(await content(survivor, found["har"].artifact_id))
    assert archive["log"]["version"] == "1.2"
    film = zipfile.ZipFile(io.BytesIO(await content(survivor, found["recording"].artifact_id)))
    assert film.read("000001.jpg").startswith(b"\xff\xd8")
    # Who asks for its end is told the same, and nothing is left of it on disk.
    stopped = await survivor.as_("gateway").StopRecording(pb.StopRecordingRequest(**name))
    assert {one.artifact_id for one in stopped.artifacts} == {
        one.artifact_id for one in found.values()
    }
    await eventually(lambda: not list(tmp_path.rglob("*.lines")), within=10)
