"""A workflow run stops at a block boundary, rests on disk, and goes on where it stood."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from libs import errors, ids
from podium.task.v1 import task_pb2
from podium.workflow.v1 import workflow_pb2 as pb
from services.workflow.store.schema import workflow_runs
from tests.contract.workflow.conftest import block, page, states
from tests.contract.workflow.test_durability import Gate
from tests.support.eventually import eventually

PAUSED = pb.WORKFLOW_RUN_STATE_PAUSED
RUNNING = pb.WORKFLOW_RUN_STATE_RUNNING
COMPLETED = pb.WORKFLOW_RUN_STATE_COMPLETED
CANCELED = pb.WORKFLOW_RUN_STATE_CANCELED


async def pause(workflows, key, organization="org_a", as_of=0):
    request = pb.PauseWorkflowRunRequest(workflow_run_id=key, as_of_sequence=as_of)
    return (await workflows.stub(organization=organization).PauseWorkflowRun(request)).workflow_run


async def resume(workflows, key, organization="org_a", as_of=0):
    request = pb.ResumeWorkflowRunRequest(workflow_run_id=key, as_of_sequence=as_of)
    return (await workflows.stub(organization=organization).ResumeWorkflowRun(request)).workflow_run


async def rests(workflows, key):
    async def paused():
        run = await workflows.get(key)
        return run if run.state == PAUSED else None

    return await eventually(paused)


async def test_it_rests_after_the_block_that_runs_and_goes_on_with_the_next(workflows, tasks):
    gate = tasks.scripts["first"] = Gate()
    key = await workflows.start({"blocks": [page("first"), page("second")]})
    await gate.reached.wait()
    asked = await pause(workflows, key)
    assert (asked.state, asked.pause_requested) == (RUNNING, True)
    gate.open.set()
    run = await rests(workflows, key)
    assert states(run) == {"first": "completed"}
    assert len(tasks.calls) == 1
    resumed = await resume(workflows, key)
    assert (resumed.state, resumed.pause_requested) == (RUNNING, False)
    run = await workflows.ended(key)
    assert run.state == COMPLETED
    assert states(run) == {"first": "completed", "second": "completed"}
    assert len(tasks.calls) == 2
    told = [kind for kind, _ in await workflows.events(key)]
    assert told.count("workflow_run.paused") == told.count("workflow_run.resumed") == 1


async def test_asking_twice_is_asking_once(workflows, tasks):
    gate = tasks.scripts["first"] = Gate()
    key = await workflows.start({"blocks": [page("first"), page("second")]})
    await gate.reached.wait()
    for _ in range(2):
        assert (await pause(workflows, key)).pause_requested
    gate.open.set()
    await rests(workflows, key)
    assert (await pause(workflows, key)).state == PAUSED
    for _ in range(2):
        assert (await resume(workflows, key)).state != PAUSED
    await workflows.ended(key)
    told = [kind for kind, _ in await workflows.events(key)]
    assert told.count("workflow_run.paused") == told.count("workflow_run.resumed") == 1
    for ask in (pause, resume):
        after = await ask(workflows, key)
        assert (after.state, after.pause_requested) == (COMPLETED, False)


async def test_a_pause_that_was_taken_back_does_not_come(workflows, tasks):
    gate = tasks.scripts["first"] = Gate()
    key = await workflows.start({"blocks": [page("first"), page("second")]})
    await gate.reached.wait()
    await pause(workflows, key)
    assert not (await resume(workflows, key)).pause_requested
    gate.open.set()
    assert (await workflows.ended(key)).state == COMPLETED
    assert "workflow_run.paused" not in [kind for kind, _ in await workflows.events(key)]


async def test_one_that_was_not_started_rests_before_its_first_block(workflows, tasks):
    made = await workflows.create({"blocks": [block("a", "wait", {"seconds": 0})]})
    key = made.workflow_run_id
    assert (await pause(workflows, key)).pause_requested
    await workflows.stub().StartWorkflowRun(pb.StartWorkflowRunRequest(workflow_run_id=key))
    assert states(await rests(workflows, key)) == {}
    # Starting it again is no way to resume it.
    again = pb.StartWorkflowRunRequest(workflow_run_id=key)
    assert (await workflows.stub().StartWorkflowRun(again)).workflow_run.state == PAUSED
    await resume(workflows, key)
    assert (await workflows.ended(key)).state == COMPLETED


async def test_it_rests_inside_a_loop_whose_time_does_not_go_on(workflows, tasks):
    gate = tasks.scripts["open"] = Gate()
    loop = block("l", "for_loop", {"items": [1, 2], "blocks": [page("open")]}, timeout_s=2)
    key = await workflows.start({"blocks": [loop]})
    await gate.reached.wait()
    await pause(workflows, key)
    gate.open.set()
    run = await rests(workflows, key)
    assert states(run) == {"l": "running", "l.0.open": "completed"}

    def long_ago(tx):
        # As if the pause, and with it the loop, had begun an hour earlier.
        hour_us = 3_600_000_000
        for table, column in (("workflow_runs", "paused_at"), ("block_runs", "started_at")):
            tx.execute(sa.text(f"UPDATE {table} SET {column} = {column} - {hour_us}"))

    await workflows.service.mesh.db.write(long_ago)
    await resume(workflows, key)
    run = await workflows.ended(key)
    assert states(run) == {"l": "completed", "l.0.open": "completed", "l.1.open": "completed"}


async def test_a_pause_outlives_every_replica_and_holds_no_lease(replica, tasks):
    gate = tasks.scripts["first"] = Gate()
    async with replica() as first:
        key = await first.start({"blocks": [page("first"), page("second")]})
        await gate.reached.wait()
        await pause(first, key)
    gate.open.set()
    async with replica() as second:
        # Asked of a replica that went down before it came into effect.
        await rests(second, key)
        query = sa.select(workflow_runs).where(workflow_runs.c.workflow_run_id == key)
        row = await second.service.mesh.db.read(lambda tx: tx.execute(query).one())
        assert row.lease_until is None
    async with replica() as third:
        assert (await third.get(key)).state == PAUSED
        assert len(tasks.tasks) == 1
        await resume(third, key)
        assert (await third.ended(key)).state == COMPLETED


async def test_cancel_works_while_it_rests(workflows, tasks):
    gate = tasks.scripts["open"] = Gate()
    loop = block("l", "for_loop", {"items": [1, 2], "blocks": [page("open")]})
    key = await workflows.start({"blocks": [loop, page("after")]})
    await gate.reached.wait()
    await pause(workflows, key)
    gate.open.set()
    await rests(workflows, key)
    await workflows.cancel(key, "enough")
    run = await workflows.ended(key, within=2)
    assert (run.state, run.failure.message) == (CANCELED, "enough")
    assert states(run) == {"l": "canceled", "l.0.open": "completed"}


async def test_a_retry_waits_for_the_end_of_a_pause(workflows, tasks):
    reached, tries = asyncio.Event(), []

    async def fails_once(_request, task):
        tries.append(1)
        reached.set()
        if len(tries) == 1:
            await eventually(lambda: opened.is_set())
            task.state = task_pb2.TASK_STATE_FAILED
            task.failure.reason, task.failure.message = "NO_LUCK", "not this time"
            return
        task.output.string_value = "done"

    opened = asyncio.Event()
    tasks.scripts["a"] = fails_once
    key = await workflows.start({"blocks": [page("a", retries=2)]})
    await reached.wait()
    await pause(workflows, key)
    opened.set()
    await rests(workflows, key)
    assert len(tries) == 1
    await resume(workflows, key)
    assert (await workflows.ended(key)).state == COMPLETED
    assert len(tries) == 2


async def test_what_a_frozen_replica_had_asked_does_not_undo_what_was_asked_since(workflows):
    made = await workflows.create({"blocks": [block("a", "wait", {"seconds": 0})]})
    key = made.workflow_run_id
    await pause(workflows, key, as_of=9)
    assert (await resume(workflows, key, as_of=7)).pause_requested
    # The same is asked again after a crash, and what is asked later counts.
    assert (await pause(workflows, key, as_of=9)).pause_requested
    assert not (await resume(workflows, key, as_of=11)).pause_requested
    assert not (await pause(workflows, key, as_of=9)).pause_requested


async def test_a_run_that_waits_is_paused_at_once_and_waits_on(workflows):
    waits = block("a", "wait", {"seconds": 3600})
    key = await workflows.start({"blocks": [waits]})
    await eventually(lambda: sleeps(workflows, key))
    assert (await pause(workflows, key)).state == PAUSED
    assert (await resume(workflows, key)).state == RUNNING
    # Its timer is set again: nobody is kept busy, and it is not over before its moment.
    await eventually(lambda: sleeps(workflows, key))
    assert (await pause(workflows, key)).state == PAUSED
    told = [kind for kind, _ in await workflows.events(key)]
    assert (told.count("workflow_run.paused"), told.count("workflow_run.resumed")) == (2, 1)
    assert told.count("block.started") == 1
    await workflows.cancel(key, "enough")
    assert (await workflows.ended(key, within=2)).state == CANCELED


async def test_what_is_asked_does_not_wait_for_the_next_try(workflows):
    key = await workflows.start({"blocks": [block("a", "wait", {"seconds": 3600})]})
    await eventually(lambda: sleeps(workflows, key))
    back_off = sa.text("UPDATE workflow_runs SET wake_at = NULL, lease_until = 4000000000000000")
    await workflows.service.mesh.db.write(lambda tx: tx.execute(back_off) and None)
    await workflows.cancel(key, "enough")
    assert (await workflows.ended(key, within=5)).state == CANCELED


async def sleeps(workflows, key):
    query = sa.select(workflow_runs).where(workflow_runs.c.workflow_run_id == key)
    row = await workflows.service.mesh.db.read(lambda tx: tx.execute(query).one())
    return row.wake_at is not None and row.lease_until is None


async def test_only_the_run_service_may_and_only_its_own(workflows):
    made = await workflows.create({"blocks": [block("a", "wait", {"seconds": 0})]})
    for ask in (pause, resume):
        with pytest.raises(errors.NotFound):
            await ask(workflows, made.workflow_run_id, "org_b")
        with pytest.raises(errors.NotFound):
            await ask(workflows, ids.new("wfr"))
        with pytest.raises(errors.Invalid):
            await ask(workflows, "run_1")
    with pytest.raises(errors.PermissionDenied):
        request = pb.PauseWorkflowRunRequest(workflow_run_id=made.workflow_run_id)
        await workflows.stub(as_="gateway").PauseWorkflowRun(request)
