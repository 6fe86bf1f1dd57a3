"""The process that carries a task out is killed: another one goes on in the same page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import sqlalchemy as sa

from libs import context, errors, ids
from libs.clock import Clock
from libs.db import Database, Tx, open_database
from libs.rpc import client
from podium.browser_session.v1 import browser_session_pb2 as session_pb
from podium.browser_session.v1.browser_session_pb2_grpc import BrowserSessionServiceStub
from podium.task.v1 import task_pb2 as pb
from podium.task.v1.task_pb2_grpc import TaskServiceStub
from services.browser_session.service import BrowserSessionService
from services.task import store
from tests.support.eventually import eventually
from tests.support.mesh import running, token
from tests.support.processes import ServiceProcess, service_process
from tests.support.sites.shop import shop

ACTIONS = [
    {"kind": "click", "target": "Order"},
    {"kind": "wait_for", "text": "Ordered 1 times"},
    {"kind": "wait_for", "text": "ready now", "timeout_ms": 30_000},
    {"kind": "click", "target": "Order"},
    {"kind": "wait_for", "text": "Ordered 2 times"},
]


async def test_another_process_goes_on_after_the_last_recorded_action(
    tmp_path: Path, redis_url: str
) -> None:
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(shop())
        sessions = await stack.enter_async_context(
            running(BrowserSessionService, tmp_path, redis_url)
        )
        request = session_pb.AcquireSessionRequest(run_id=ids.new("run"))
        bare = sessions.stub(BrowserSessionServiceStub, "run")
        session = (await bare.AcquireSession(request, timeout=30)).session
        peers = {"browser_session": sessions.address}
        replicas = [
            stack.enter_context(service_process("task", tmp_path, redis_url, peers=peers))
            for _ in range(2)
        ]
        asked = _asking(session, f"{site.url}/login")
        following = asyncio.create_task(_finished(replicas, asked))
        await eventually(lambda: len(site.orders) == 1, within=30)
        database = await stack.enter_async_context(_database(tmp_path))
        held = await eventually(lambda: _waiting_holder(database), within=10)
        dying = next(one for one in replicas if held.startswith(f"task-{one.replica}-"))
        killed = time.monotonic()
        dying.kill()
        site.state = "ready now"
        await eventually(lambda: len(site.orders) == 2, within=15)
        took_s = time.monotonic() - killed
        print(f"taken over after {took_s:.1f} s")
        assert took_s < 6
        done = await asyncio.wait_for(following, 20)
    assert done.state == pb.TASK_STATE_COMPLETED, done.failure
    assert [action.kind for action in done.actions] == [
        "goto", "fill", "click", *(action["kind"] for action in ACTIONS)
    ]  # fmt: skip
    assert all(action.succeeded for action in done.actions)
    # Nothing was done twice: one login, two orders, and the page was never loaded again.
    assert (site.logins, site.orders, site.visits) == (1, ["ada", "ada"], ["ada"])


def _asking(session: session_pb.Session, url: str) -> pb.ExecuteTaskRequest:
    asked = pb.ExecuteTaskRequest(
        request_id="step-1",
        block_path="orders",
        browser_session_id=session.browser_session_id,
        spec=pb.TaskSpec(url=url),
    )
    login = [
        {"kind": "fill", "target": "Name", "value": "ada"},
        {"kind": "click", "target": "Sign in"},
    ]
    for action in [*login, *ACTIONS]:
        asked.spec.actions.add().update(action)
    context.assign(run_id=session.run_id)
    return asked


async def _finished(replicas: list[ServiceProcess], asked: pb.ExecuteTaskRequest) -> pb.Task:
    """Follows the task wherever somebody answers, as the workflow engine does through Envoy."""
    while True:
        for replica in replicas:
            channel = client.channel(replica.address)
            stub = client.stub(TaskServiceStub, channel, token("workflow"))
            try:
                with context.bind(organization_id="org_a"):
                    async for update in stub.ExecuteTask(asked):
                        if update.HasField("finished"):
                            return update.finished
            except errors.PodiumError:
                await asyncio.sleep(0.05)
            finally:
                await channel.close()


@asynccontextmanager
async def _database(home: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{home}/data/task.db"
    database = await open_database(url, store.METADATA, Clock(), schema="task")
    try:
        yield database
    finally:
        await database.close()


async def _waiting_holder(database: Database) -> str:
    """Who carries the task out, once its long wait has begun."""

    def unit(tx: Tx) -> str:
        kinds = list(tx.execute(sa.select(store.actions.c.kind)).scalars())
        owner = tx.execute(sa.select(store.tasks.c.lease_owner)).scalar()
        return owner or "" if len(kinds) == 6 else ""

    return await database.read(unit)
