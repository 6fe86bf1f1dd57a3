"""What the RPCs about definitions promise."""

from __future__ import annotations

import pytest

from libs import errors, wire
from podium.workflow.v1 import workflow_pb2 as pb
from tests.contract.workflow.conftest import block, page

ORDERS = {
    "name": "orders",
    "title": "Orders",
    "description": "Reads the orders of a month.",
    "parameters": [
        {"key": "month", "description": "such as 2026-05"},
        {"key": "limit", "type": "integer", "default": 10},
    ],
    "blocks": [page("open")],
}
YAML = """
name: from-yaml
blocks:
  - label: pause
    kind: wait
    params: {seconds: 1}
"""


async def create(workflows, document=ORDERS, organization="org_a"):
    request = (
        pb.CreateWorkflowRequest(source=document)
        if isinstance(document, str)
        else pb.CreateWorkflowRequest(document=wire.struct(document))
    )
    return (await workflows.stub("gateway", organization).CreateWorkflow(request)).workflow


async def update(workflows, workflow_id, document, etag=""):
    request = pb.UpdateWorkflowRequest(
        workflow_id=workflow_id, document=wire.struct(document), etag=etag
    )
    return (await workflows.stub("gateway").UpdateWorkflow(request)).workflow


async def get(workflows, workflow_id, version=0, organization="org_a"):
    request = pb.GetWorkflowRequest(workflow_id=workflow_id, version=version)
    return (await workflows.stub("gateway", organization).GetWorkflow(request)).workflow


async def test_a_new_workflow_is_its_version_1(workflows):
    made = await create(workflows)
    assert made.workflow_id.startswith("wf_")
    assert (made.name, made.title, made.version) == ("orders", "Orders", 1)
    assert made.needs_browser
    assert wire.plain(made.document) == ORDERS
    schema = wire.plain(made.parameters_schema)
    assert schema["required"] == ["month"]
    assert schema["properties"]["limit"] == {"type": "integer", "default": 10}
    assert made == await get(workflows, made.workflow_id) == await get(workflows, "orders")


async def test_yaml_text_is_a_definition(workflows):
    made = await create(workflows, YAML)
    assert made.name == made.title == "from-yaml"
    assert not made.needs_browser
    assert wire.plain(made.document)["blocks"][0]["params"] == {"seconds": 1}


async def test_a_name_is_used_once_in_an_organisation(workflows):
    await create(workflows)
    with pytest.raises(errors.Conflict) as refused:
        await create(workflows)
    assert refused.value.reason == "WORKFLOW_EXISTS"
    await create(workflows, organization="org_b")


async def test_several_mistakes_are_told_at_once_and_nothing_is_written(workflows):
    wrong = {"name": "orders", "blocks": [page("a"), block("b", "goto_url", {"url": 3, "x": 1})]}
    with pytest.raises(errors.Invalid) as refused:
        await create(workflows, wrong)
    assert [field for field, _ in refused.value.violations] == [
        "blocks[1].params.url",
        "blocks[1].params.x",
    ]
    with pytest.raises(errors.NotFound):
        await get(workflows, "orders")


async def test_mistakes_in_a_text_come_with_their_lines(workflows):
    with pytest.raises(errors.Invalid) as refused:
        await create(workflows, YAML.replace("seconds: 1", "secs: 1"))
    assert refused.value.violations[0] == (
        "blocks[0].params.secs",
        "block 'pause': is not a known field; did you mean 'seconds'? (line 6)",
    )


@pytest.mark.parametrize(
    ("request_", "field", "why"),
    [
        (pb.CreateWorkflowRequest(), "definition", "needs a source or a document"),
        (pb.CreateWorkflowRequest(source=""), "source", "is empty"),
        (
            pb.CreateWorkflowRequest(source="a: " + "x" * 1_100_000),
            "source",
            "is larger than 1048576 bytes",
        ),
        (
            pb.CreateWorkflowRequest(document=wire.struct({"a": "x" * 1_100_000})),
            "document",
            "is larger than 1048576 bytes",
        ),
    ],
)
async def test_absurd_definitions_are_refused(workflows, request_, field, why):
    with pytest.raises(errors.Invalid) as refused:
        await workflows.stub("gateway").CreateWorkflow(request_)
    assert refused.value.violations == [(field, why)]


async def test_an_update_makes_a_version_and_a_repeat_makes_none(workflows):
    first = await create(workflows)
    changed = {**ORDERS, "title": "More orders"}
    second = await update(workflows, "orders", changed, first.etag)
    assert (second.version, second.title) == (2, "More orders")
    assert second.etag != first.etag
    assert second.create_time == first.create_time
    assert (await update(workflows, first.workflow_id, changed)).version == 2
    assert (await get(workflows, "orders", 1)).title == "Orders"


async def test_an_update_does_not_overwrite_what_it_has_not_seen(workflows):
    first = await create(workflows)
    await update(workflows, "orders", {**ORDERS, "title": "Mine"})
    with pytest.raises(errors.Aborted) as refused:
        await update(workflows, "orders", {**ORDERS, "title": "Yours"}, first.etag)
    assert refused.value.reason == "ETAG_MISMATCH"


async def test_a_workflow_keeps_its_name(workflows):
    await create(workflows)
    with pytest.raises(errors.Invalid) as refused:
        await update(workflows, "orders", {**ORDERS, "name": "other"})
    assert refused.value.violations == [("name", "must stay 'orders'")]


async def test_what_is_not_there_is_not_found(workflows):
    await create(workflows)
    for attempt in (
        get(workflows, "nothing"),
        get(workflows, "orders", 7),
        get(workflows, "orders", organization="org_b"),
        update(workflows, "nothing", ORDERS),
        workflows.stub("gateway").DeleteWorkflow(pb.DeleteWorkflowRequest(workflow_id="nothing")),
    ):
        with pytest.raises(errors.NotFound):
            await attempt


@pytest.mark.parametrize("name", ["", "x" * 101])
async def test_a_workflow_must_be_named_sensibly(workflows, name):
    with pytest.raises(errors.Invalid) as refused:
        await get(workflows, name)
    assert refused.value.violations[0][0] == "workflow_id"


async def test_pages_go_through_all_workflows_by_name(workflows):
    for name in ("c", "a", "e", "b", "d"):
        await create(workflows, {"name": name, "blocks": [page("x")]})
    await create(workflows, {"name": "zz", "blocks": [page("x")]}, organization="org_b")
    stub, seen, token = workflows.stub("gateway"), [], ""
    while True:
        request = pb.ListWorkflowsRequest(page_size=2, page_token=token)
        answer = await stub.ListWorkflows(request)
        assert len(answer.workflows) <= 2
        seen += [workflow.name for workflow in answer.workflows]
        token = answer.next_page_token
        if not token:
            break
    assert seen == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListWorkflowsRequest(page_size=-1), "page_size"),
        (pb.ListWorkflowsRequest(page_token="%%%"), "page_token"),
        (pb.ListWorkflowsRequest(page_token="_w=="), "page_token"),
    ],
)
async def test_a_page_that_cannot_be_is_refused(workflows, request_, field):
    with pytest.raises(errors.Invalid) as refused:
        await workflows.stub("gateway").ListWorkflows(request_)
    assert refused.value.violations[0][0] == field


async def test_a_deleted_workflow_is_gone_and_its_name_free(workflows):
    made = await create(workflows)
    stub = workflows.stub("gateway")
    for name in ("orders", "orders", made.workflow_id):
        await stub.DeleteWorkflow(pb.DeleteWorkflowRequest(workflow_id=name))
    for name in ("orders", made.workflow_id):
        with pytest.raises(errors.NotFound):
            await get(workflows, name)
    assert not (await stub.ListWorkflows(pb.ListWorkflowsRequest())).workflows
    again = await create(workflows)
    assert again.workflow_id != made.workflow_id


async def test_another_organisation_cannot_delete_it(workflows):
    made = await create(workflows)
    with pytest.raises(errors.NotFound):
        await workflows.stub("gateway", "org_b").DeleteWorkflow(
            pb.DeleteWorkflowRequest(workflow_id=made.workflow_id)
        )
    assert await get(workflows, "orders")


async def test_the_kinds_of_block_come_with_their_schemas(workflows):
    answer = await workflows.stub("gateway").ListBlockKinds(pb.ListBlockKindsRequest())
    kinds = {kind.kind: kind for kind in answer.block_kinds}
    assert list(kinds) == [
        "action",
        "conditional",
        "extraction",
        "file_download",
        "for_loop",
        "goto_url",
        "http_request",
        "login",
        "screenshot",
        "task",
        "wait",
    ]
    assert kinds["login"].needs_browser
    assert not kinds["http_request"].needs_browser
    assert all(kind.summary for kind in kinds.values())
    schema = wire.plain(kinds["goto_url"].params_schema)
    assert schema["required"] == ["url"]
    assert schema["additionalProperties"] is False
