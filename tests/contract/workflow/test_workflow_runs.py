"""What the RPCs about workflow runs promise."""

from __future__ import annotations

import asyncio

import pytest

from libs import errors, ids, wire
from podium.workflow.v1 import workflow_pb2 as pb
from tests.contract.workflow.conftest import block, hangs, page, states
from tests.contract.workflow.test_definitions import ORDERS, create, update
from tests.support.eventually import eventually

WAIT = {"name": "w", "blocks": [block("w", "wait", {"seconds": 0})]}


async def order(workflows, run_id="", organization="org_a", parameters=None, **target):
    request = pb.CreateWorkflowRunRequest(
        run_id=run_id or ids.new("run"), parameters=wire.struct(parameters or {}), **target
    )
    stub = workflows.stub(organization=organization)
    return (await stub.CreateWorkflowRun(request)).workflow_run


async def start(workflows, workflow_run_id, session="", organization="org_a"):
    request = pb.StartWorkflowRunRequest(
        workflow_run_id=workflow_run_id, browser_session_id=session
    )
    stub = workflows.stub(organization=organization)
    return (await stub.StartWorkflowRun(request)).workflow_run


async def test_a_run_is_pinned_to_the_version_it_was_made_with(workflows, tasks):
    made = await create(workflows)
    run = await order(workflows, workflow_id="orders", parameters={"month": "2026-05"})
    assert (run.workflow_id, run.workflow_version, run.title) == (made.workflow_id, 1, "Orders")
    assert run.state == pb.WORKFLOW_RUN_STATE_CREATED
    assert run.needs_browser
    await update(workflows, "orders", {**ORDERS, "blocks": [page("other")]})
    stub = workflows.stub("gateway")
    await stub.DeleteWorkflow(pb.DeleteWorkflowRequest(workflow_id="orders"))
    await start(workflows, run.workflow_run_id, ids.new("bs"))
    assert states(await workflows.ended(run.workflow_run_id)) == {"open": "completed"}


async def test_an_older_version_can_be_asked_for(workflows):
    await create(workflows)
    await update(workflows, "orders", {**ORDERS, "title": "New"})
    parameters = {"month": "x"}
    old = await order(workflows, workflow_id="orders", workflow_version=1, parameters=parameters)
    new = await order(workflows, workflow_id="orders", parameters=parameters)
    assert (old.workflow_version, old.title) == (1, "Orders")
    assert (new.workflow_version, new.title) == (2, "New")


async def test_the_same_run_answers_the_same_workflow_run(workflows):
    run_id, document = ids.new("run"), wire.struct(WAIT)
    made = await asyncio.gather(
        *(order(workflows, run_id, document=document) for _ in range(8)),
    )
    assert len({run.workflow_run_id for run in made}) == 1
    elsewhere = await order(workflows, run_id, organization="org_b", document=document)
    assert elsewhere.workflow_run_id != made[0].workflow_run_id


async def test_parameters_are_checked_by_name(workflows):
    await create(workflows)
    with pytest.raises(errors.Invalid) as refused:
        await order(workflows, workflow_id="orders", parameters={"limit": "many", "mont": 1})
    assert refused.value.violations == [
        ("parameters.limit", "must be a whole number, not a text"),
        ("parameters.mont", "is not a parameter; did you mean 'month'?"),
        ("parameters.month", "is required"),
    ]


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        ({}, errors.Invalid, "target"),
        ({"workflow_id": ""}, errors.Invalid, "workflow_id"),
        ({"workflow_id": "nothing"}, errors.NotFound, "nothing"),
        ({"workflow_id": "orders", "workflow_version": 9}, errors.NotFound, "version 9"),
        ({"workflow_id": "orders", "workflow_version": -1}, errors.Invalid, "workflow_version"),
        ({"document": wire.struct({"name": "x"})}, errors.Invalid, "blocks"),
        ({"document": wire.struct({"name": "x", "blocks": []})}, errors.Invalid, "blocks"),
        ({"run_id": "nonsense", "workflow_id": "orders"}, errors.Invalid, "run_id"),
        ({"run_id": "run_" + "x" * 9999, "workflow_id": "orders"}, errors.Invalid, "run_id"),
    ],
)
async def test_a_run_of_something_that_cannot_be_is_refused(workflows, target, error, said):
    await create(workflows)
    with pytest.raises(error, match=said):
        await order(workflows, **target)


async def test_starting_twice_starts_once(workflows, tasks):
    run = await order(workflows, document=wire.struct({"name": "x", "blocks": [page("a")]}))
    session = ids.new("bs")
    first = await start(workflows, run.workflow_run_id, session)
    assert first.state == pb.WORKFLOW_RUN_STATE_RUNNING
    assert first.browser_session_id == session
    await start(workflows, run.workflow_run_id, ids.new("bs"))
    ended = await workflows.ended(run.workflow_run_id)
    assert len(tasks.calls) == 1
    again = await start(workflows, run.workflow_run_id)
    assert (again.state, again.browser_session_id) == (ended.state, session)
    assert next(iter(tasks.tasks.values())).browser_session_id == session


async def test_a_page_needs_a_session(workflows):
    run = await order(workflows, document=wire.struct({"name": "x", "blocks": [page("a")]}))
    with pytest.raises(errors.Invalid) as refused:
        await start(workflows, run.workflow_run_id)
    assert refused.value.violations[0][0] == "browser_session_id"
    with pytest.raises(errors.Invalid):
        await start(workflows, run.workflow_run_id, "../../etc/passwd")


async def test_one_that_never_began_is_abandoned(workflows):
    run = await order(workflows, document=wire.struct(WAIT))
    canceled = await workflows.cancel(run.workflow_run_id, "no room")
    assert canceled.state == pb.WORKFLOW_RUN_STATE_CANCELED
    assert canceled.failure.message == "no room"
    assert canceled.HasField("end_time")
    assert [kind for kind, _ in await workflows.events(run.workflow_run_id)] == [
        "workflow_run.finished"
    ]
    assert await workflows.cancel(run.workflow_run_id, "again") == canceled
    with pytest.raises(errors.FailedPrecondition) as refused:
        await start(workflows, run.workflow_run_id)
    assert refused.value.reason == "WORKFLOW_RUN_FINISHED"


async def test_cancelling_one_that_has_ended_changes_nothing(workflows):
    run = await workflows.carried_out(WAIT)
    answer = await workflows.cancel(run.workflow_run_id)
    assert answer.state == pb.WORKFLOW_RUN_STATE_COMPLETED
    assert len(await workflows.events(run.workflow_run_id)) == 3


async def test_another_organisation_sees_none_of_it(workflows, tasks):
    tasks.scripts["a"] = hangs
    run_id = await workflows.start({"blocks": [page("a")]})
    await eventually(lambda: tasks.calls)
    stranger = workflows.stub(organization="org_b")
    for attempt in (
        workflows.get(run_id, organization="org_b"),
        start(workflows, run_id, ids.new("bs"), organization="org_b"),
        stranger.CancelWorkflowRun(pb.CancelWorkflowRunRequest(workflow_run_id=run_id)),
    ):
        with pytest.raises(errors.NotFound):
            await attempt
    assert (await workflows.get(run_id)).state == pb.WORKFLOW_RUN_STATE_RUNNING
    await workflows.cancel(run_id)


@pytest.mark.parametrize("bad", ["", "wfr_", "wf_1", "x" * 5000, "wfr_' OR 1=1 --"])
async def test_ids_that_cannot_be_are_refused(workflows, bad):
    stub = workflows.stub()
    for call in (
        stub.GetWorkflowRun(pb.GetWorkflowRunRequest(workflow_run_id=bad)),
        stub.StartWorkflowRun(pb.StartWorkflowRunRequest(workflow_run_id=bad)),
        stub.CancelWorkflowRun(pb.CancelWorkflowRunRequest(workflow_run_id=bad)),
    ):
        with pytest.raises(errors.Invalid) as refused:
            await call
        assert refused.value.violations[0][0] == "workflow_run_id"


async def test_an_unknown_workflow_run_is_not_found(workflows):
    with pytest.raises(errors.NotFound):
        await workflows.get(ids.new("wfr"))


async def test_only_run_may_make_start_and_cancel_them(workflows):
    stub = workflows.stub("gateway")
    for call in (
        stub.CreateWorkflowRun(pb.CreateWorkflowRunRequest()),
        stub.StartWorkflowRun(pb.StartWorkflowRunRequest()),
        stub.CancelWorkflowRun(pb.CancelWorkflowRunRequest()),
    ):
        with pytest.raises(errors.PermissionDenied):
            await call


async def test_outputs_too_large_for_one_message_give_way(workflows, site):
    from aiohttp import web

    async def large(_request):
        return web.Response(text="x" * 1_000_000)

    site.answers["/large"] = large
    request = {"url": site.url + "/large"}
    document = {
        "blocks": [block(f"b{n}", "http_request", request) for n in range(5)],
        "output": {"size": "{{ blocks.b0.output.text | length }}"},
    }
    run = await workflows.carried_out(document)
    assert run.ByteSize() < 4 * 1024 * 1024
    assert len(run.blocks) == 5
    assert wire.plain(run.blocks[4].output)["truncated"] is True
    assert wire.plain(run.output) == {"size": 1_000_000}
