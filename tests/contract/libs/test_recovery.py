"""Recoveries: steps in order, every result kept, triggered by real outages and real memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from libs import errors
from libs.clock import Clock
from libs.db import open_database
from libs.outbox import outbox
from libs.recovery import Failure, Recoveries, Recovery, State, Step, StepFailed, Strategy, ledger
from libs.recovery.database import DatabaseWatch
from libs.recovery.memory import EXIT_STATUS
from podium.common.v1 import event_pb2
from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1.totp_pb2_grpc import TotpServiceStub
from services.totp.service import TotpService
from tests.support.eventually import eventually
from tests.support.mesh import running
from tests.support.postgres import Server, postgres_server
from tests.support.processes import service_process


@pytest.fixture
async def recoveries(tmp_path: Path) -> AsyncIterator[Recoveries]:
    database = await open_database(f"sqlite:///{tmp_path}/a.db", sa.MetaData(), Clock(), "thing")
    yield Recoveries(database, Clock(), "thing", "1", tmp_path)
    await database.close()


async def says(words: str) -> str:
    return words


async def fails() -> str:
    raise StepFailed("the door is locked")


async def breaks() -> str:
    raise ValueError("a bug, and a secret")


def strategy(*acts, verify=lambda: says("well")) -> Strategy:
    steps = tuple(Step(f"step_{number}", act, 0.2) for number, act in enumerate(acts, 1))
    return Strategy(Failure.BROWSER_SESSION_EXPIRED, steps, verify)


async def test_steps_are_carried_out_in_order_and_kept(recoveries, tmp_path) -> None:
    wanted = strategy(lambda: says("one"), lambda: says("two"))
    recovery = await recoveries.attempt(wanted, subject="bs_1", reason="it died")
    assert recovery.state is State.RECOVERED
    assert [(step.name, step.ok, step.message) for step in recovery.steps] == [
        ("step_1", True, "one"),
        ("step_2", True, "two"),
        ("verify_health", True, "well"),
    ]
    assert await recoveries.recent() == [recovery]
    [line] = ledger.read_lines(tmp_path)
    assert (line["recovery_id"], line["state"]) == (recovery.recovery_id, "recovered")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (fails, "the door is locked"),
        (breaks, "failed unexpectedly (ValueError)"),
        (asyncio.Event().wait, "not done within 0.2 s"),
    ],
)
async def test_the_first_step_that_fails_ends_it_and_raises_an_alert(
    recoveries, act, message
) -> None:
    recovery = await recoveries.attempt(
        strategy(lambda: says("one"), act, lambda: says("never")), subject="x", reason="y"
    )
    assert recovery.state is State.FAILED
    assert [step.name for step in recovery.steps] == ["step_1", "step_2"]
    assert recovery.steps[-1].message == message
    rows = await recoveries.database.read(lambda tx: list(tx.execute(sa.select(outbox.c.event))))
    [alert] = [event_pb2.Event.FromString(row.event) for row in rows]
    assert alert.type == "alert.raised"
    assert alert.data["message"] == f"step_2: {message}"


async def test_health_that_does_not_come_back_is_a_failed_recovery(recoveries) -> None:
    recovery = await recoveries.attempt(strategy(verify=fails), subject="x", reason="y")
    assert (recovery.state, recovery.steps[-1].name) == (State.FAILED, "verify_health")


@pytest.fixture
def server() -> Iterator[Server]:
    with postgres_server() as server:
        yield server


async def test_a_database_that_was_killed_is_connected_to_anew(server, tmp_path) -> None:
    database = await open_database(server.url, sa.MetaData(), Clock(), schema="recovering")
    recoveries = Recoveries(database, Clock(), "thing", "1", tmp_path)
    watching = asyncio.create_task(DatabaseWatch(database, recoveries, Clock()).run())
    try:
        await asyncio.to_thread(server.stop_immediately)
        for _ in range(3):
            with pytest.raises(errors.Unavailable):
                await database.write(lambda tx: tx.now)
        await asyncio.to_thread(server.start)
        [recovery] = await eventually(lambda: ledger.read_lines(tmp_path), within=20)
        assert (recovery["failure"], recovery["state"]) == ("database_connection_lost", "recovered")
        assert [step["name"] for step in recovery["steps"]] == [
            "close_existing_connections",
            "wait_for_database",
            "recreate_connection_pool",
            "verify_connectivity",
            "verify_health",
        ]
        assert await database.write(lambda tx: tx.now)
        kept = await eventually(recoveries.recent)
        assert kept[0].recovery_id == recovery["recovery_id"]
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await database.close()


async def test_a_replica_that_sheds_load_refuses_new_calls(tmp_path, redis_url) -> None:
    async with running(TotpService, tmp_path, redis_url) as service:
        stub = service.stub(TotpServiceStub)
        await stub.ListCredentials(pb.ListCredentialsRequest())
        service.mesh.shedding.begin("memory")
        with pytest.raises(errors.Exhausted) as refused:
            await stub.ListCredentials(pb.ListCredentialsRequest())
    assert refused.value.reason == "REPLICA_OVERLOADED"
    assert refused.value.retry_after_s == 1.0


async def test_a_process_that_grew_too_large_restarts_and_proves_its_health(
    tmp_path: Path, redis_url: str
) -> None:
    told = {"replica": "7"}
    with service_process("totp", tmp_path, redis_url, memory_limit_mib=1, **told) as large:
        await eventually(lambda: large.process.poll() is not None, within=30)
        assert large.process.returncode == EXIT_STATUS
    [recovery] = ledger.read_lines(tmp_path)
    assert (recovery["failure"], recovery["state"]) == ("memory_exhaustion", "restarting")
    assert [(step["name"], step["ok"]) for step in recovery["steps"]] == [
        ("shed_load", True),
        ("drain_leases", True),
        ("restart", True),
    ]
    with service_process("totp", tmp_path, redis_url, memory_limit_mib=4000, **told):
        await eventually(lambda: ledger.read_lines(tmp_path)[0]["state"] == "recovered", within=30)
    [recovery] = ledger.read_lines(tmp_path)
    assert recovery["steps"][-1]["name"] == "verify_health"


def test_the_file_in_the_home_does_not_grow_for_ever(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ledger, "LARGEST_FILE_BYTES", 2_000)
    clock = Clock()
    for number in range(40):
        ledger.append_line(
            tmp_path,
            Recovery(
                f"rec_{number:02}", Failure.MEMORY_EXHAUSTION, "run", "1", "1", "big",
                State.FAILED, (), clock.now(), 1,
            ),
        )  # fmt: skip
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 5_000
    assert ledger.read_lines(tmp_path, 3)[0]["recovery_id"] == "rec_39"
