"""The replica that carries a run is killed at each of its commits; another one finishes the run."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from libs import errors
from libs.outbox import outbox
from podium.common.v1 import event_pb2
from podium.run.v1 import run_pb2, run_pb2_grpc
from podium.workflow.v1 import workflow_pb2 as wf
from services.run import steps, store
from services.run.service import RunService
from tests.contract.run.calls import (
    a_request,
    cancel,
    finished,
    pause,
    rebuilt,
    resume,
    step_states,
    watched,
)
from tests.contract.run.dying import Doomed
from tests.contract.run.upstreams import Upstreams, upstreams
from tests.support.eventually import eventually
from tests.support.mesh import Running, running
from tests.support.valkey import valkey

# A run of each kind hands in fewer units than this before it has ended.
MOST_COMMITS = 13
# So many cases at once, each with a bus of its own: most of their time is a lease running out.
AT_ONCE = 6
UNDONE = ["acquire_browser_session", "create_workflow_run"]


async def completes(_stub: Any, _run_id: str, _others: Upstreams) -> None:
    return


async def is_canceled(stub: Any, run_id: str, others: Upstreams) -> None:
    await eventually(lambda: "start" in others.workflow.calls, within=10)
    await cancel(stub, run_id)


async def pauses(stub: Any, run_id: str, others: Upstreams) -> None:
    """Rests and goes on; each part is asked for again by whoever comes after a death."""
    if any(run.state == wf.WORKFLOW_RUN_STATE_COMPLETED for run in others.workflow.runs.values()):
        return
    await eventually(lambda: "start" in others.workflow.calls, within=10)
    await pause(stub, run_id)
    run = next(run for run in others.workflow.runs.values() if run.run_id == run_id)

    async def rests() -> bool:
        # What a dead replica had sent may still land, so one boundary may be one too few.
        await others.workflow.boundary(run)
        return await is_paused(stub, run_id)

    await eventually(rests, within=10)
    await resume(stub, run_id)
    await eventually(lambda: run.state == wf.WORKFLOW_RUN_STATE_RUNNING, within=10)
    await others.workflow.end(run, {"state": "completed", "output": {"answer": 42}})


async def is_paused(stub: Any, run_id: str) -> bool:
    found = await stub.GetRun(run_pb2.GetRunRequest(run_id=run_id))
    return found.run.state == run_pb2.RUN_STATE_PAUSED


Client = Callable[[Any, str, Upstreams], Awaitable[None]]
# What the client does, how the workflow run ends by itself, whether a release fails, the end.
KINDS: dict[str, tuple[Client, dict[str, Any] | None, bool, str]] = {
    "completes": (completes, {"state": "completed", "output": {"answer": 42}}, False, "COMPLETED"),
    "fails": (completes, {"state": "failed"}, False, "FAILED"),
    "cannot undo": (completes, {"state": "failed"}, True, "FAILED"),
    "canceled": (is_canceled, None, False, "CANCELED"),
    "paused": (pauses, None, False, "COMPLETED"),
}


# One way to end is enough for every day; the whole sweep takes more than a minute.
QUICK = ("completes",)
SWEEP = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.long) for kind in KINDS]


@pytest.mark.parametrize("kind", SWEEP)
async def test_whenever_the_replica_dies_another_one_finishes_the_run(
    kind: str, tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "RECONCILE_S", 0.3)
    monkeypatch.setattr(steps, "EVENT_PATIENCE", timedelta(0))
    cases = [(at, before) for at in range(1, MOST_COMMITS + 1) for before in (True, False)]
    died = 0
    wrong: list[str] = []

    async def lane(number: int) -> None:
        nonlocal died
        while cases and not wrong:
            at, before = cases.pop()
            try:
                async with asyncio.timeout(30):
                    home = tmp_path / f"{at}-{before}"
                    url = f"{redis_url}?db={number}"
                    reached = await died_and_finished(kind, at, before, home, url)
                died += reached
            except Exception as why:
                moment = "before" if before else "after"
                wrong.append(f"killed {moment} unit {at}: {type(why).__name__} {why}")

    await asyncio.gather(*(lane(number + 1) for number in range(AT_ONCE)))
    assert not wrong
    assert died >= 10


async def test_a_life_that_is_known_to_have_ended_is_not_waited_for(tmp_path: Path) -> None:
    # A bus of its own: what other tests left on a shared one would be counted as units.
    with valkey() as redis_url:
        await one_life_follows_another(tmp_path, redis_url)


async def one_life_follows_another(tmp_path: Path, redis_url: str) -> None:
    async with upstreams(redis_url) as others:
        more = {"peers": others.peers, "drain_grace_s": 0.1, "lease_ttl_s": 3600.0, "replica": "1"}
        async with running(RunService, tmp_path, redis_url, life="one", **more) as first:
            # It dies with the run's lease in hand, which would hold for an hour.
            doomed = Doomed(first.mesh, at=3, before=False)
            driving = asyncio.create_task(driven(first, completes, others))
            await doomed.died.wait()
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)
        lives = {"life": "two", "ended_lives": ["one"]}
        async with running(RunService, tmp_path, redis_url, **lives, **more) as second:
            run = await driven(second, completes, others)
            assert run.state == run_pb2.RUN_STATE_COMPLETED
            (taken,) = await second.mesh.recoveries.recent()
            assert (taken.failure, taken.state) == ("replica_died", "recovered")
            assert (taken.subject, taken.run_id) == (run.run_id, run.run_id)
            assert "run-1-one" in taken.reason
            await holds(second, run, others, broken=False)


async def died_and_finished(kind: str, at: int, before: bool, home: Path, url: str) -> bool:
    client, ending, broken, end = KINDS[kind]
    async with upstreams(url) as others:
        others.workflow.ending = ending
        others.browser.release_refusal = errors.Internal("broken") if broken else None
        more = {"peers": others.peers, "lease_ttl_s": 0.8, "drain_grace_s": 0.1}
        async with running(RunService, home, url, **more) as first:
            doomed = Doomed(first.mesh, at=at, before=before)
            driving = asyncio.create_task(driven(first, client, others))
            dying = asyncio.create_task(doomed.died.wait())
            await asyncio.wait({driving, dying}, return_when=asyncio.FIRST_COMPLETED)
            for task in (driving, dying):
                task.cancel()
                # What the client of a dead replica gets is no news.
                with contextlib.suppress(Exception, asyncio.CancelledError):
                    await task
        async with running(RunService, home, url, **more) as second:
            run = await driven(second, client, others)
            assert run_pb2.RunState.Name(run.state) == f"RUN_STATE_{end}"
            await holds(second, run, others, broken)
        return doomed.dead


async def driven(replica: Running, client: Client, others: Upstreams) -> run_pb2.Run:
    """What a client does until its run has ended: the same again after a crash, by its key."""
    stub = replica.stub(run_pb2_grpc.RunServiceStub)
    run_id = (await stub.CreateRun(a_request(idempotency_key="k"))).run_id
    with contextlib.suppress(errors.FailedPrecondition):
        await client(stub, run_id, others)
    return await finished(stub, run_id)


async def holds(replica: Running, run: run_pb2.Run, others: Upstreams, broken: bool) -> None:
    """Everything that must be true of a run whatever happened on its way."""
    stub = replica.stub(run_pb2_grpc.RunServiceStub)
    events = await watched(stub, run.run_id)
    assert [event.sequence for event in events] == list(range(1, run.last_sequence + 1))
    own = Counter(event.type for event in events if event.source == "run")
    assert events[-1].type == "run.finished"
    assert own["run.finished"] == own["run.created"] == own["run.started"] == 1
    found = await rebuilt(stub, run.run_id)
    assert found.result == run_pb2.REBUILD_RESULT_IDENTICAL, found
    assert [r.run_id for r in (await stub.ListRuns(run_pb2.ListRunsRequest())).runs] == [run.run_id]
    steps_hold(run, events, broken)
    upstreams_hold(run, others)
    alerts = (await stub.ListAlerts(run_pb2.ListAlertsRequest())).alerts
    assert len(alerts) == own["alert.raised"] == (1 if broken else 0)
    await rows_hold(replica, run.run_id)


def steps_hold(run: run_pb2.Run, events: list[run_pb2.RunEvent], broken: bool) -> None:
    def of(type_: str) -> list[str]:
        return [str(e.data["step"]) for e in events if e.type == f"saga.step_{type_}"]

    for told in (of("started"), of("finished"), of("failed"), of("compensated")):
        assert len(told) == len(set(told)), told
    states = step_states(run)
    assert not {"running", "pending"} & set(states.values()), states
    if run.state == run_pb2.RUN_STATE_COMPLETED:
        assert of("compensated") == []
        return
    undone = [step for step in of("compensated") if step != "execute_workflow"]
    assert undone == (UNDONE[1:] if broken else UNDONE)
    assert of("compensation_failed") == (UNDONE[:1] if broken else [])
    assert run.detail.startswith("compensation_failed") == broken
    done = [step for step in of("finished") if step != "execute_workflow"]
    assert done == UNDONE[::-1]


def upstreams_hold(run: run_pb2.Run, others: Upstreams) -> None:
    calls = others.browser.calls
    # However often it was asked for, it is one session; once given back it is not asked for again.
    assert len(others.browser.given) == 1
    if "release" in calls:
        assert "acquire" not in calls[calls.index("release") :]
    started = [r for r in others.workflow.runs.values() if r.HasField("start_time")]
    assert [r.workflow_run_id for r in started] == [run.workflow_run_id]
    if "cancel" in others.workflow.calls:
        calls = others.workflow.calls
        assert "start" not in calls[calls.index("cancel") :]


async def rows_hold(replica: Running, run_id: str) -> None:
    """Nobody holds the run any more, and its end is announced exactly once."""

    def look(tx: Any) -> tuple[Any, list[Any]]:
        lease = sa.select(store.runs.c.lease_until).where(store.runs.c.run_id == run_id)
        return tx.execute(lease).scalar_one(), list(tx.execute(sa.select(outbox.c.event)))

    lease_until, rows = await replica.mesh.db.read(look)
    assert lease_until is None
    published = [event_pb2.Event.FromString(row.event).type for row in rows]
    assert published.count("run.finished") == 1
