"""A replica is killed, or frozen: its browsers go with it, the other one brings them back."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc.aio import Channel

from libs import context, errors, ids
from libs.rpc import client
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import browser_session_pb2_grpc as pb_grpc
from services.browser_session.orphans import processes_of
from services.browser_session.service import BrowserSessionService
from tests.support.eventually import eventually
from tests.support.mesh import Running, running, token
from tests.support.processes import ServiceProcess, service_process


@pytest.fixture
async def survivor(tmp_path: Path, redis_url: str) -> AsyncIterator[Running]:
    async with running(BrowserSessionService, tmp_path, redis_url) as service:
        yield service


async def test_the_sessions_of_a_killed_replica_are_taken_over(
    tmp_path: Path, redis_url: str, survivor: Running
) -> None:
    browsers = tmp_path / "browsers"
    with service_process("browser_session", tmp_path, redis_url) as doomed:
        session = await acquire(doomed)
        theirs = processes_of(browsers)
        assert theirs
        killed = time.monotonic()
        doomed.kill()
        await eventually(lambda: not set(processes_of(browsers)) & set(theirs), within=3)
        await is_taken_over(survivor, session, killed)
    # The folder of the dead replica's browser is gone, too.
    assert [path.name for path in browsers.iterdir()] == [f"{session.browser_session_id}-2"]
    again = pb.AcquireSessionRequest(run_id=session.run_id)
    held = (await stub(survivor).AcquireSession(again)).session
    assert held.browser_session_id == session.browser_session_id


async def test_a_frozen_replica_ends_its_browser_when_it_thaws(
    tmp_path: Path, redis_url: str, survivor: Running
) -> None:
    with service_process("browser_session", tmp_path, redis_url) as frozen:
        session = await acquire(frozen)
        theirs = processes_of(tmp_path / "browsers")
        began = time.monotonic()
        frozen.signal(signal.SIGSTOP)
        await is_taken_over(survivor, session, began)
        frozen.signal(signal.SIGCONT)
        await eventually(
            lambda: not set(processes_of(tmp_path / "browsers")) & set(theirs), within=5
        )
        row = await get(survivor, session)
        assert row.state == pb.SESSION_STATE_OCCUPIED
        assert (await attach(survivor, session)).generation == 2
        assert processes_of(tmp_path / "browsers" / f"{session.browser_session_id}-2")


async def is_taken_over(survivor: Running, session: pb.Session, since: float) -> None:
    async def second() -> bool:
        return (await attach(survivor, session)).generation == 2

    await eventually(second, within=10)
    took_s = time.monotonic() - since
    print(f"taken over in {took_s:.1f} s")
    assert took_s < 6
    row = await get(survivor, session)
    assert (row.state, row.run_id) == (pb.SESSION_STATE_OCCUPIED, session.run_id)


def stub(service: Running, as_: str = "run"):
    return service.stub(pb_grpc.BrowserSessionServiceStub, as_)


async def attach(service: Running, session: pb.Session) -> pb.AttachSessionResponse:
    request = pb.AttachSessionRequest(
        browser_session_id=session.browser_session_id, run_id=session.run_id
    )
    return await stub(service, "task").AttachSession(request)


async def get(service: Running, session: pb.Session) -> pb.Session:
    request = pb.GetSessionRequest(browser_session_id=session.browser_session_id)
    return (await stub(service).GetSession(request)).session


async def acquire(replica: ServiceProcess) -> pb.Session:
    """A session of the replica, once it serves."""
    channel: Channel = client.channel(replica.address)
    bare = client.stub(pb_grpc.BrowserSessionServiceStub, channel, token("run"))
    request = pb.AcquireSessionRequest(run_id=ids.new("run"))

    async def attempt() -> pb.Session | None:
        with context.bind(organization_id="org_a"):
            try:
                return (await bare.AcquireSession(request)).session
            except errors.Unavailable:
                return None

    try:
        return await eventually(attempt, within=60)
    finally:
        await channel.close()
