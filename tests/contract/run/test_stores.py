"""What holds with two replicas, on a SQLite file and on a PostgreSQL server alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import duration_pb2

from libs import errors, ids
from podium.run.v1 import run_pb2, run_pb2_grpc
from services.run.service import RunService
from tests.contract.run.calls import (
    a_request,
    cancel,
    finished,
    get,
    pause,
    rebuilt,
    resume,
    step_states,
    watched,
)
from tests.contract.run.upstreams import Upstreams
from tests.support.eventually import eventually
from tests.support.mesh import running
from tests.support.postgres import postgres


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, others: Upstreams) -> dict[str, Any]:
    """Where a replica keeps its rows, and whom it calls."""
    more: dict[str, Any] = {"peers": others.peers, "lease_ttl_s": 1.0}
    if request.param == "postgres":
        more["database_url"] = request.getfixturevalue("server")
    return more


@pytest.fixture
async def pair(place: dict[str, Any], tmp_path: Path, redis_url: str) -> AsyncIterator[list[Any]]:
    """Two replicas over one database, as an organisation of this test has them."""
    organization = ids.new("org")
    async with (
        running(RunService, tmp_path, redis_url, **place) as first,
        running(RunService, tmp_path, redis_url, **place) as second,
    ):
        yield [
            replica.stub(run_pb2_grpc.RunServiceStub, organization=organization)
            for replica in (first, second)
        ]


async def test_one_run_for_each_key_however_many_ask_at_once(
    pair: list[Any], others: Upstreams
) -> None:
    keys = [f"k{number}" for number in range(4)]
    asked = [(key, stub) for key in keys for stub in pair for _ in range(5)]
    answers = await asyncio.gather(
        *(stub.CreateRun(a_request(idempotency_key=key)) for key, stub in asked)
    )
    made: dict[str, set[str]] = {}
    for (key, _), answer in zip(asked, answers, strict=True):
        made.setdefault(key, set()).add(answer.run_id)
    assert all(len(found) == 1 for found in made.values()), made
    runs = {run_id for found in made.values() for run_id in found}
    for run_id in runs:
        assert (await finished(pair[0], run_id)).state == run_pb2.RUN_STATE_COMPLETED
    listed = (await pair[1].ListRuns(run_pb2.ListRunsRequest())).runs
    assert {run.run_id for run in listed} == runs
    # The key stays with the run, long after its end; what it means does not change.
    for stub in pair:
        assert (await stub.CreateRun(a_request(idempotency_key="k0"))).run_id in made["k0"]
        with pytest.raises(errors.Conflict) as conflict:
            await stub.CreateRun(a_request(idempotency_key="k0", workflow_version=2))
        assert conflict.value.reason == "IDEMPOTENCY_CONFLICT"
    # Whoever came second gave back what it had begun: only the runs' own workflow runs started.
    started = [run for run in others.workflow.runs.values() if run.HasField("start_time")]
    assert {run.run_id for run in started} == runs


async def test_different_requests_for_one_key_at_once_make_one_run(pair: list[Any]) -> None:
    requests = [a_request(idempotency_key="k", labels={"n": str(n)}) for n in range(8)]
    answers = await asyncio.gather(
        *(pair[n % 2].CreateRun(request) for n, request in enumerate(requests)),
        return_exceptions=True,
    )
    accepted = [a for a in answers if isinstance(a, run_pb2.CreateRunResponse)]
    refused = [a for a in answers if isinstance(a, errors.Conflict)]
    assert (len(accepted), len(refused)) == (1, 7), answers
    assert {refusal.reason for refusal in refused} == {"IDEMPOTENCY_CONFLICT"}
    await finished(pair[0], accepted[0].run_id)


async def test_each_end_can_be_rebuilt(pair: list[Any], others: Upstreams) -> None:
    stub, other = pair
    made = [(await stub.CreateRun(a_request())).run_id]
    await finished(stub, made[0])
    others.workflow.ending = {"state": "failed", "failure": {"reason": "X", "message": "x"}}
    made.append((await other.CreateRun(a_request())).run_id)
    run = await finished(stub, made[1])
    assert step_states(run)["acquire_browser_session"] == "compensated"
    for run_id in made:
        events = await watched(other, run_id)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert events[-1].type == "run.finished"
        for verify in (True, False):
            found = await rebuilt(stub, run_id, verify=verify)
            assert found.result == run_pb2.REBUILD_RESULT_IDENTICAL, found


async def test_many_things_at_once_leave_one_true_history(
    pair: list[Any], others: Upstreams
) -> None:
    """Reports, pauses, cancels and the saga all write one history: none waits for another."""
    others.workflow.ending = None
    stub, other = pair
    run_ids = [(await stub.CreateRun(a_request())).run_id for _ in range(4)]
    await eventually(lambda: others.workflow.calls.count("start") == 4)

    async def stir(run_id: str) -> None:
        run = next(run for run in others.workflow.runs.values() if run.run_id == run_id)
        for n in range(5):
            await asyncio.gather(
                others.workflow.publish("block.finished", run_id, {"n": n}),
                pause(stub, run_id),
                resume(other, run_id),
                rebuilt(other, run_id),
            )
        await resume(stub, run_id)
        await asyncio.gather(
            others.workflow.end(run, {"state": "completed", "output": {}}),
            cancel(other, run_id),
            others.workflow.publish("block.finished", run_id, {"n": 5}),
        )

    await asyncio.gather(*(stir(run_id) for run_id in run_ids))
    for run_id in run_ids:
        await finished(stub, run_id)
        assert (await rebuilt(other, run_id)).result == run_pb2.REBUILD_RESULT_IDENTICAL
        events = await watched(other, run_id)
        assert events[-1].type == "run.finished"
        assert len(events) == (await get(stub, run_id)).last_sequence


async def test_a_deadline_that_passes_while_no_replica_is_there(
    place: dict[str, Any], others: Upstreams, tmp_path: Path, redis_url: str
) -> None:
    others.workflow.ending = None
    organization = ids.new("org")
    request = a_request(timeout=duration_pb2.Duration(seconds=2))
    async with running(RunService, tmp_path, redis_url, **place) as first:
        stub = first.stub(run_pb2_grpc.RunServiceStub, organization=organization)
        begun = (await stub.CreateRun(request)).run_id
        await eventually(lambda: "start" in others.workflow.calls)
        rests = (await stub.CreateRun(request)).run_id
        await eventually(lambda: others.workflow.calls.count("start") == 2)
        await pause(stub, rests)
        await eventually(lambda: "pause" in others.workflow.calls)
        run = next(run for run in others.workflow.runs.values() if run.run_id == rests)
        await others.workflow.boundary(run)

        async def paused() -> bool:
            return (await get(stub, rests)).state == run_pb2.RUN_STATE_PAUSED

        await eventually(paused)
        # From here on this replica accepts runs but begins none.
        await first.mesh.drains[0]()
        queued = (await stub.CreateRun(request)).run_id
        over = (await get(stub, queued)).create_time.ToDatetime(tzinfo=UTC) + timedelta(seconds=2)
        clock = first.mesh.clock
    acquired = others.browser.calls.count("acquire")
    await eventually(lambda: clock.now() > over)
    async with running(RunService, tmp_path, redis_url, **place) as second:
        stub = second.stub(run_pb2_grpc.RunServiceStub, organization=organization)
        for run_id in (begun, rests, queued):
            run = await asyncio.wait_for(finished(stub, run_id), 5)
            assert run.state == run_pb2.RUN_STATE_TIMED_OUT
            assert (await rebuilt(stub, run_id)).result == run_pb2.REBUILD_RESULT_IDENTICAL
        # What had not begun before its deadline is not begun after it.
        assert not (await get(stub, queued)).HasField("start_time")
        assert others.browser.calls.count("acquire") == acquired
        assert others.browser.held == {}
