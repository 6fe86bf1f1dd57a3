"""A replica is killed without a word: its browsers die with it, and the other replica says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from libs import context, errors, ids
from libs.rpc import client
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import browser_session_pb2_grpc as pb_grpc
from services.browser_session.orphans import processes_of
from services.browser_session.service import BrowserSessionService
from tests.support.eventually import eventually
from tests.support.mesh import running, settings_for, token


def start(home: Path, redis_url: str) -> tuple[subprocess.Popen[bytes], str]:
    """A replica in a process of its own, and its address."""
    settings = settings_for(
        "browser_session", home, redis_url, browser_sweep_s=0.2, browser_silence_s=2
    )
    told = {f"PODIUM_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "services.browser_session"],
        env={**os.environ, **told},
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
    )
    return process, settings["listen"]


async def test_the_browsers_of_a_killed_replica_are_gone_and_its_sessions_crashed(
    tmp_path: Path, redis_url: str
) -> None:
    process, address = start(tmp_path, redis_url)
    channel = client.channel(address)
    try:
        session = await acquire(channel)
        browsers = tmp_path / "browsers"
        assert processes_of(browsers)
        process.kill()
        process.wait()
        await eventually(lambda: not processes_of(browsers), within=3)
        async with running(
            BrowserSessionService, tmp_path, redis_url, browser_sweep_s=0.2, browser_silence_s=2
        ) as survivor:
            stub = survivor.stub(pb_grpc.BrowserSessionServiceStub, "run")
            request = pb.GetSessionRequest(browser_session_id=session.browser_session_id)

            async def crashed() -> bool:
                row = (await stub.GetSession(request)).session
                return row.close_reason == "replica_died"

            await eventually(crashed, within=6)
            assert not list(browsers.iterdir())
            again = pb.AcquireSessionRequest(run_id=session.run_id)
            fresh = (await stub.AcquireSession(again)).session
            assert fresh.state == pb.SESSION_STATE_OCCUPIED
            assert fresh.browser_session_id != session.browser_session_id
    finally:
        process.kill()
        process.wait()
        await channel.close()


async def acquire(channel) -> pb.Session:
    """A session of the replica, once it serves."""
    stub = client.stub(pb_grpc.BrowserSessionServiceStub, channel, token("run"))
    request = pb.AcquireSessionRequest(run_id=ids.new("run"))

    async def attempt() -> pb.Session | None:
        with context.bind(organization_id="org_a"):
            try:
                return (await stub.AcquireSession(request)).session
            except errors.Unavailable:
                return None

    return await eventually(attempt, within=20)
