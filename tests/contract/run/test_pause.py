"""A run rests at a block boundary until it is resumed, canceled, or its time is over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf import duration_pb2

from libs import errors
from podium.run.v1 import run_pb2, run_pb2_grpc
from services.run import steps, store
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
from tests.support.mesh import Running, running

PAUSED = run_pb2.RUN_STATE_PAUSED
RUNNING = run_pb2.RUN_STATE_RUNNING


async def begun(stub: Any, others: Upstreams, **more: Any) -> str:
    """A run whose workflow run goes on until the test ends it."""
    others.workflow.ending = None
    created = await stub.CreateRun(a_request(**more))
    await eventually(lambda: "start" in others.workflow.calls)
    return created.run_id


async def resting(stub: Any, others: Upstreams, **more: Any) -> str:
    run_id = await begun(stub, others, **more)
    await pause(stub, run_id)
    await eventually(lambda: "pause" in others.workflow.calls)
    await others.workflow.boundary()
    await has_state(stub, run_id, PAUSED)
    return run_id


async def has_state(stub: Any, run_id: str, state: int) -> None:
    async def reached() -> bool:
        return (await get(stub, run_id)).state == state

    await eventually(reached)


async def completes(stub: Any, others: Upstreams, run_id: str) -> list[str]:
    """Ends the workflow run; the types of the run's own events of pausing."""
    (workflow_run,) = others.workflow.runs.values()
    await others.workflow.end(workflow_run, {"state": "completed", "output": {"n": 1}})
    run = await finished(stub, run_id)
    assert run.state == run_pb2.RUN_STATE_COMPLETED
    assert (await rebuilt(stub, run_id)).result == run_pb2.REBUILD_RESULT_IDENTICAL
    events = await watched(stub, run_id)
    types = [event.type for event in events if event.source == "run"]
    return [type_ for type_ in types if "pause" in type_ or "resume" in type_]


async def test_a_run_rests_and_goes_on(stub: Any, others: Upstreams, service: Running) -> None:
    run_id = await begun(stub, others)
    asked = await pause(stub, run_id)
    assert (asked.state, asked.pause_requested) == (RUNNING, True)
    assert (await pause(stub, run_id)).pause_requested
    await eventually(lambda: "pause" in others.workflow.calls)
    await others.workflow.boundary()
    await has_state(stub, run_id, PAUSED)
    assert (await rebuilt(stub, run_id)).result == run_pb2.REBUILD_RESULT_IDENTICAL
    # It holds neither a lease nor a place in a replica.
    query = sa.select(store.runs.c.lease_until).where(store.runs.c.run_id == run_id)
    assert await service.mesh.db.read(lambda tx: tx.execute(query).scalar_one()) is None
    assert (await pause(stub, run_id)).state == PAUSED
    resumed = await resume(stub, run_id)
    assert (resumed.state, resumed.pause_requested) == (RUNNING, False)
    assert (await resume(stub, run_id)).state == RUNNING
    await eventually(lambda: "resume" in others.workflow.calls)
    told = await completes(stub, others, run_id)
    assert told == ["run.pause_requested", "run.paused", "run.resumed"]
    assert others.browser.calls == ["acquire"]


async def test_a_pause_taken_back_before_the_boundary(stub: Any, others: Upstreams) -> None:
    run_id = await begun(stub, others)
    await pause(stub, run_id)
    await eventually(lambda: "pause" in others.workflow.calls)
    await resume(stub, run_id)
    await eventually(lambda: "resume" in others.workflow.calls)
    await others.workflow.boundary()
    assert await completes(stub, others, run_id) == ["run.pause_requested", "run.resumed"]


async def test_a_lost_announcement_of_a_pause_is_found_by_asking(
    stub: Any, others: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "RECONCILE_S", 0.1)
    others.workflow.announce = False
    run_id = await resting(stub, others)
    await resume(stub, run_id)
    await eventually(lambda: "resume" in others.workflow.calls)
    await completes(stub, others, run_id)


async def test_what_is_passed_on_late_is_known_to_be_late(stub: Any, others: Upstreams) -> None:
    run_id = await resting(stub, others)
    paused = others.workflow.heeded.copy()
    await resume(stub, run_id)
    await eventually(lambda: "resume" in others.workflow.calls)
    (key,) = paused
    # The engine refuses what had seen less of the history than a request that came after it.
    assert others.workflow.heeded[key] > paused[key]
    await completes(stub, others, run_id)


async def test_cancel_works_while_paused(stub: Any, others: Upstreams) -> None:
    run_id = await resting(stub, others)
    await cancel(stub, run_id)
    run = await asyncio.wait_for(finished(stub, run_id), 2)
    assert run.state == run_pb2.RUN_STATE_CANCELED
    assert not run.pause_requested
    assert step_states(run)["acquire_browser_session"] == "compensated"
    assert (await rebuilt(stub, run_id)).result == run_pb2.REBUILD_RESULT_IDENTICAL
    for ask in (pause, resume):
        with pytest.raises(errors.FailedPrecondition) as refused:
            await ask(stub, run_id)
        assert refused.value.reason == "RUN_FINISHED"


async def test_what_is_asked_does_not_wait_for_the_next_try(
    stub: Any, others: Upstreams, service: Running
) -> None:
    run_id = await resting(stub, others)
    back_off = sa.text("UPDATE runs SET lease_until = 4000000000000000")
    await service.mesh.db.write(lambda tx: tx.execute(back_off) and None)
    await cancel(stub, run_id)
    run = await asyncio.wait_for(finished(stub, run_id), 5)
    assert run.state == run_pb2.RUN_STATE_CANCELED


async def test_a_run_that_is_being_stopped_cannot_be_paused(stub: Any, others: Upstreams) -> None:
    held = asyncio.Event()
    others.browser.releasing = held
    run_id = await begun(stub, others)
    await cancel(stub, run_id)
    for ask in (pause, resume):
        with pytest.raises(errors.FailedPrecondition) as refused:
            await ask(stub, run_id)
        assert refused.value.reason == "RUN_STOPPING"
    held.set()
    await finished(stub, run_id)


async def test_only_the_run_timeout_ends_a_pause(stub: Any, others: Upstreams) -> None:
    run_id = await resting(stub, others, timeout=duration_pb2.Duration(seconds=2))
    run = await finished(stub, run_id)
    assert run.state == run_pb2.RUN_STATE_TIMED_OUT
    assert "did not end within 2 s" in run.failure.message
    assert others.browser.held == {}


async def test_a_pause_outlives_the_replicas(
    others: Upstreams, tmp_path: Path, redis_url: str
) -> None:
    more = {"peers": others.peers, "lease_ttl_s": 1.0}
    async with running(RunService, tmp_path, redis_url, **more) as first:
        run_id = await resting(first.stub(run_pb2_grpc.RunServiceStub), others)
    async with running(RunService, tmp_path, redis_url, **more) as second:
        stub = second.stub(run_pb2_grpc.RunServiceStub)
        assert (await get(stub, run_id)).state == PAUSED
        await resume(stub, run_id)
        await eventually(lambda: "resume" in others.workflow.calls)
        await completes(stub, others, run_id)


async def test_a_workflow_run_that_ends_while_paused_ends_its_run(
    stub: Any, others: Upstreams
) -> None:
    run_id = await resting(stub, others)
    told = await completes(stub, others, run_id)
    assert told == ["run.pause_requested", "run.paused", "run.resumed"]


async def test_a_run_asked_before_it_executes_rests_before_its_first_block(
    stub: Any, others: Upstreams
) -> None:
    others.workflow.ending = None
    others.browser.acquiring = held = asyncio.Event()
    created = await stub.CreateRun(a_request())
    await others.browser.asked.wait()
    await pause(stub, created.run_id)
    held.set()
    await eventually(lambda: "start" in others.workflow.calls)
    assert others.workflow.calls.index("pause") < others.workflow.calls.index("start")
    await cancel(stub, created.run_id)
    await finished(stub, created.run_id)


async def test_another_organisation_cannot(stub: Any, others: Upstreams, service: Running) -> None:
    run_id = await begun(stub, others)
    other = service.stub(run_pb2_grpc.RunServiceStub, organization="org_b")
    for ask in (pause, resume, rebuilt):
        with pytest.raises(errors.NotFound):
            await ask(other, run_id)
        with pytest.raises(errors.Invalid):
            await ask(stub, "wf_1")
    await cancel(stub, run_id)
    await finished(stub, run_id)
