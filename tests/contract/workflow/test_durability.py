"""Whatever replica dies, the run goes on after its last recorded block."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter

import sqlalchemy as sa

from libs import wire
from libs.recovery import ledger
from podium.workflow.v1 import workflow_pb2 as pb
from services.workflow import execution
from services.workflow.store.schema import workflow_runs
from tests.contract.workflow.conftest import answers, block, fails, hangs, page, states
from tests.support import mesh
from tests.support.eventually import eventually


class Gate:
    """A script that waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, _request, task):
        self.reached.set()
        await self.open.wait()
        task.output.CopyFrom(wire.value("done"))


async def test_another_replica_goes_on_in_the_middle_of_a_block(replica, tasks):
    gate = tasks.scripts["second"] = Gate()
    async with replica() as first:
        run_id = await first.start({"blocks": [page("first"), page("second"), page("third")]})
        await gate.reached.wait()
    async with replica() as second:
        await eventually(lambda: len(tasks.calls) == 3)
        gate.open.set()
        run = await second.ended(run_id)
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED
    # The same task was attached to again: nothing was done twice.
    assert Counter(tasks.calls) == {
        f"{run.run_id}/first/1": 1,
        f"{run.run_id}/second/1": 2,
        f"{run.run_id}/third/1": 1,
    }
    assert len(tasks.tasks) == 3
    assert tasks.canceled == []


async def test_a_killed_process_loses_nothing(replica, tasks, task_address, tmp_path, redis_url):
    gate = tasks.scripts["pause"] = Gate()
    environment = {
        **os.environ,
        "PODIUM_HOME": str(tmp_path),
        "PODIUM_LISTEN": mesh.socket_address(),
        "PODIUM_REDIS_URL": redis_url,
        "PODIUM_SERVICE_TOKEN": mesh.token("workflow"),
        "PODIUM_TOKEN_PUBLIC_KEY": mesh.PUBLIC_KEY,
        "PODIUM_PEERS": json.dumps({"task": task_address}),
        "PODIUM_TRACES": "false",
    }
    loop = block(
        "each",
        "for_loop",
        {"items": [10, 20], "blocks": [page("open"), page("pause")]},
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.workflow", env=environment
    )
    try:
        async with replica(lease_ttl_s=4.0) as here:
            # This replica only accepts the calls; the other one carries the run out.
            await here.service.mesh.drains[0]()
            run_id = await here.start({"blocks": [page("begin"), loop, page("end")]})
            await asyncio.wait_for(gate.reached.wait(), 30)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with replica() as second:
        await eventually(lambda: tasks.calls.count(tasks.calls[-1]) == 2, within=15)
        gate.open.set()
        run = await second.ended(run_id, within=15)
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED
    assert set(states(run).values()) == {"completed"}
    twice = {key: count for key, count in Counter(tasks.calls).items() if count > 1}
    assert twice == {f"{run.run_id}/each.0.pause/1": 2}
    assert len(tasks.tasks) == 6
    recorded_the_takeover(tmp_path, run_id)


def recorded_the_takeover(home, run_id):
    [line] = ledger.read_lines(home)
    assert (line["failure"], line["state"]) == ("workflow_engine_crashed", "recovered")
    assert (line["service"], line["subject"]) == ("workflow", run_id)
    assert [(step["name"], step["message"]) for step in line["steps"][1:3]] == [
        ("read_recorded_blocks", "2 of 4 blocks that began have ended"),
        ("find_safe_point", "block each.0.pause, attempt 1, was under way"),
    ]


async def test_a_replica_that_lost_its_lease_is_refused(replica, tasks):
    gate = tasks.scripts["only"] = Gate()
    async with replica() as zombie, replica() as other:
        run_id = await zombie.start({"blocks": [page("only")]})
        await gate.reached.wait()

        def expire(tx):
            # As if the holder had been stopped for longer than its lease.
            row = sa.update(workflow_runs).where(workflow_runs.c.workflow_run_id == run_id)
            tx.execute(row.values(lease_fence=workflow_runs.c.lease_fence + 1, lease_until=None))

        await other.service.mesh.db.write(expire)
        await eventually(lambda: len(tasks.calls) == 2)
        gate.open.set()
        run = await other.ended(run_id)
        events = [kind for kind, _ in await other.events(run_id)]
    assert states(run) == {"only": "completed"}
    assert Counter(events) == {
        "block.started": 1,
        "block.finished": 1,
        "workflow_run.finished": 1,
    }


async def test_two_replicas_execute_each_block_once(replica, tasks):
    async with replica() as first, replica() as second:
        document = {"blocks": [page("a"), page("b"), page("c")]}
        started = [await (first, second)[n % 2].start(document) for n in range(12)]
        runs = [await first.ended(run_id, within=30) for run_id in started]
    assert {run.state for run in runs} == {pb.WORKFLOW_RUN_STATE_COMPLETED}
    assert len(tasks.calls) == len(set(tasks.calls)) == 36


async def test_an_interrupted_block_fails_when_it_says_so(replica, tasks):
    gate = tasks.scripts["pay"] = Gate()
    async with replica() as first:
        run_id = await first.start({"blocks": [page("pay", resume="fail", retries=2)]})
        await gate.reached.wait()
    async with replica() as second:
        run = await second.ended(run_id)
    assert run.failure.reason == "INTERRUPTED"
    assert run.failure.block_path == "pay"
    assert tasks.canceled == [f"{run.run_id}/pay/1"]


async def test_an_interrupted_block_begins_anew_when_it_says_so(replica, tasks):
    gate = tasks.scripts["look"] = Gate()
    async with replica() as first:
        run_id = await first.start({"blocks": [page("look", resume="restart")]})
        await gate.reached.wait()
    gate.open.set()
    async with replica() as second:
        run = await second.ended(run_id)
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED
    assert tasks.canceled == [f"{run.run_id}/look/1"]
    assert [(b.attempt, b.state) for b in run.blocks] == [
        (1, pb.BLOCK_RUN_STATE_FAILED),
        (2, pb.BLOCK_RUN_STATE_COMPLETED),
    ]


async def test_a_long_wait_is_a_timer_on_disk(replica, tasks, monkeypatch):
    monkeypatch.setattr(execution, "LONGEST_HELD_PAUSE_S", 0.3)
    async with replica() as first:
        run_id = await first.start({"blocks": [block("w", "wait", {"seconds": 2.5}), page("a")]})

        async def rests():
            query = sa.select(workflow_runs).where(workflow_runs.c.workflow_run_id == run_id)
            row = await first.service.mesh.db.read(lambda tx: tx.execute(query).one())
            return row.wake_at is not None and row.lease_until is None

        await eventually(rests)
    async with replica() as second:
        run = await second.ended(run_id)
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED
    waited = run.blocks[0]
    lasted_ms = waited.end_time.ToMilliseconds() - waited.start_time.ToMilliseconds()
    assert 2490 <= lasted_ms < 6000
    assert waited.attempt == 1


async def test_cancel_interrupts_a_task_within_a_second(workflows, tasks):
    tasks.scripts["a"] = hangs
    run_id = await workflows.start({"blocks": [page("a", retries=3), page("b")]})
    await eventually(lambda: tasks.calls)
    await workflows.cancel(run_id, "changed my mind")
    run = await workflows.ended(run_id, within=1.5)
    assert run.state == pb.WORKFLOW_RUN_STATE_CANCELED
    assert run.failure.message == "changed my mind"
    assert states(run) == {"a": "canceled"}
    assert tasks.canceled == [f"{run.run_id}/a/1"]
    kind, data = (await workflows.events(run_id))[-1]
    assert (kind, data["state"]) == ("workflow_run.finished", "canceled")


async def test_cancel_interrupts_a_wait_inside_a_loop(workflows):
    inner = block("w", "wait", {"seconds": 4})
    run_id = await workflows.start(
        {"blocks": [block("l", "for_loop", {"items": [1, 2], "blocks": [inner]})]}
    )
    await eventually(lambda: workflows.block(run_id, "l.0.w"))
    await workflows.cancel(run_id)
    run = await workflows.ended(run_id, within=1.5)
    assert states(run) == {"l": "canceled", "l.0.w": "canceled"}


async def test_cancel_wakes_a_run_that_rests(workflows):
    run_id = await workflows.start({"blocks": [block("w", "wait", {"seconds": 86400})]})
    await eventually(lambda: workflows.block(run_id, "w"))
    await workflows.cancel(run_id)
    run = await workflows.ended(run_id, within=2.5)
    assert states(run) == {"w": "canceled"}


async def test_cancel_by_one_replica_reaches_the_other(replica, tasks):
    tasks.scripts["a"] = hangs
    async with replica() as first:
        run_id = await first.start({"blocks": [page("a")]})
        await eventually(lambda: tasks.calls)
        async with replica() as second:
            await second.cancel(run_id)
            run = await second.ended(run_id, within=2.5)
    assert run.state == pb.WORKFLOW_RUN_STATE_CANCELED


async def test_what_was_recorded_is_not_asked_for_again(replica, tasks):
    tasks.scripts["read"] = answers({"n": 3})
    gate = tasks.scripts["hold"] = Gate()
    async with replica() as first:
        run_id = await first.start(
            {
                "blocks": [page("read"), page("hold"), page("last")],
                "output": {"n": "{{ blocks.read.output.n }}"},
            }
        )
        await gate.reached.wait()
    tasks.scripts["read"] = answers({"n": 4})
    gate.open.set()
    async with replica() as second:
        run = await second.ended(run_id)
    assert wire.plain(run.output) == {"n": 3}


def dies(times: int):
    """A task whose browser dies the first times it is carried out."""
    left = [times]

    async def script(_request, task):
        if left[0]:
            left[0] -= 1
            await fails("BROWSER_CRASHED", "the browser died")(_request, task)

    return script


async def test_a_dead_browser_does_not_use_the_retries_of_a_block_up(workflows, tasks):
    tasks.scripts["a"] = dies(2)
    run = await workflows.carried_out({"blocks": [page("a")]})
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED
    assert [(b.attempt, b.failure.reason) for b in run.blocks] == [
        (1, "BROWSER_CRASHED"),
        (2, "BROWSER_CRASHED"),
        (3, ""),
    ]
    assert list(tasks.tasks) == [f"{run.run_id}/a/{attempt}" for attempt in (1, 2, 3)]


async def test_a_block_that_kills_every_browser_fails(workflows, tasks):
    tasks.scripts["a"] = dies(9)
    run = await workflows.carried_out({"blocks": [page("a")]})
    assert (run.state, len(run.blocks)) == (pb.WORKFLOW_RUN_STATE_FAILED, 3)
    assert run.failure.reason == "BROWSER_CRASHED"


async def test_a_block_that_may_not_begin_twice_fails_with_its_browser(workflows, tasks):
    tasks.scripts["a"] = dies(1)
    run = await workflows.carried_out({"blocks": [page("a", resume="fail", retries=3)]})
    assert (run.state, len(run.blocks)) == (pb.WORKFLOW_RUN_STATE_FAILED, 1)
