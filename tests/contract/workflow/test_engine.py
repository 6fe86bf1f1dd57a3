"""A started workflow run is carried out block by block and recorded as it goes."""

from __future__ import annotations

import json

from libs import wire
from podium.task.v1 import task_pb2
from podium.workflow.v1 import workflow_pb2 as pb
from services.workflow import execution
from tests.contract.workflow.conftest import (
    answers,
    block,
    fails,
    hangs,
    never_answers,
    page,
    states,
)


async def test_blocks_run_in_order_and_hand_their_outputs_on(workflows, tasks, site):
    tasks.scripts["read"] = answers([{"id": 7, "total": 12.5}])
    run = await workflows.carried_out(
        {
            "parameters": [{"key": "month"}],
            "blocks": [
                page("open"),
                block("read", "extraction", {"instruction": "orders of {{ parameters.month }}"}),
                block(
                    "tell",
                    "http_request",
                    {
                        "url": site.url + "/orders/{{ blocks.read.output[0].id }}",
                        "method": "POST",
                        "json": {"orders": "{{ blocks.read.output }}"},
                    },
                ),
            ],
            "output": {
                "first": "{{ blocks.read.output[0] }}",
                "status": "{{ blocks.tell.output.status }}",
            },
        },
        month="2026-05",
    )
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED
    assert states(run) == {"open": "completed", "read": "completed", "tell": "completed"}
    assert wire.plain(run.output) == {"first": {"id": 7, "total": 12.5}, "status": 200}
    instruction = tasks.tasks[f"{run.run_id}/read/1"].spec.extraction.instruction
    assert instruction == "orders of 2026-05"
    method, path, headers, body = site.requests[0]
    assert (method, path) == ("POST", "/orders/7")
    assert json.loads(body) == {"orders": [{"id": 7, "total": 12.5}]}
    assert headers["idempotency-key"] == f"{run.run_id}/tell/1"
    assert run.blocks[1].task_id.startswith("task_")
    assert run.start_time.ToMicroseconds() <= run.end_time.ToMicroseconds()


async def test_its_events_tell_the_story_without_gaps(workflows, tasks):
    tasks.scripts["b"] = answers("x" * 5000)
    run = await workflows.carried_out({"blocks": [page("a"), page("b")]})
    events = await workflows.events(run.workflow_run_id)
    assert [(kind, data.get("block_path")) for kind, data in events] == [
        ("block.started", "a"),
        ("block.finished", "a"),
        ("block.started", "b"),
        ("block.finished", "b"),
        ("workflow_run.finished", None),
    ]
    finished = events[3][1]
    assert finished["state"] == "completed"
    assert finished["duration_ms"] >= 0
    assert finished["output_truncated"] is True
    assert len(finished["output_preview"]) == 200
    assert wire.plain(run.blocks[1].output) == "x" * 5000
    assert events[4][1]["state"] == "completed"
    assert events[4][1]["output"] == {"b": "x" * 5000}


async def test_each_block_costs_one_commit(workflows):
    counters = workflows.service.mesh.db.counters

    async def units(blocks: int) -> int:
        before = counters.units
        await workflows.carried_out({"blocks": [page(f"b{n}") for n in range(blocks)]})
        return counters.units - before

    # What relay and leases write in between depends on the time; the smallest count is ours.
    few = min([await units(2) for _ in range(4)])
    many = min([await units(8) for _ in range(4)])
    assert many - few <= 6 + 1


async def test_a_block_whose_condition_does_not_hold_is_skipped(workflows, tasks):
    run = await workflows.carried_out(
        {
            "parameters": [{"key": "n", "type": "integer"}],
            "blocks": [
                page("never", when="parameters.n > 5"),
                page("always", when="{{ parameters.n == 3 }}"),
                page("after", when="blocks.never.state == 'skipped'"),
            ],
        },
        n=3,
    )
    assert states(run) == {"never": "skipped", "always": "completed", "after": "completed"}
    assert len(tasks.calls) == 2


async def test_a_loop_goes_through_its_items(workflows, tasks, site):
    async def order(request, task):
        task.output.CopyFrom(wire.value(request.spec.goal))

    tasks.scripts["open_order"] = order
    run = await workflows.carried_out(
        {
            "blocks": [
                block("list", "http_request", {"url": site.url}),
                block(
                    "orders",
                    "for_loop",
                    {
                        "items": "{{ blocks.list.output.json.orders }}",
                        "item_name": "order",
                        "blocks": [
                            block(
                                "open_order",
                                "action",
                                {"goal": "open {{ order.id }} at {{ index }}"},
                            )
                        ],
                    },
                ),
            ],
            "output": {"said": "{{ blocks.orders.output | pluck('open_order') }}"},
        }
    )
    assert wire.plain(run.output) == {"said": ["open 1 at 0", "open 2 at 1"]}
    assert list(states(run)) == ["list", "orders", "orders.0.open_order", "orders.1.open_order"]


async def test_an_empty_loop_is_no_failure(workflows):
    run = await workflows.carried_out(
        {"blocks": [block("none", "for_loop", {"items": [], "blocks": [page("a")]})]}
    )
    assert states(run) == {"none": "completed"}


async def test_a_loop_over_something_else_than_a_list_fails_with_its_place(workflows):
    run = await workflows.carried_out(
        {
            "parameters": [{"key": "items"}],
            "blocks": [
                block("l", "for_loop", {"items": "{{ parameters.items }}", "blocks": [page("a")]})
            ],
        },
        items="abc",
    )
    assert run.failure.reason == "INVALID_PARAMS"
    assert run.failure.message == "params.items: must be a list"
    assert run.failure.block_path == "l"


async def test_the_first_branch_that_holds_is_taken(workflows, tasks):
    document = {
        "parameters": [{"key": "n", "type": "integer"}],
        "blocks": [
            block(
                "choose",
                "conditional",
                {
                    "if": "parameters.n == 1",
                    "then": [page("one")],
                    "elif": [{"if": "parameters.n == 2", "then": [page("two")]}],
                    "else": [page("many")],
                },
            )
        ],
    }
    taken = [states(await workflows.carried_out(document, n=n)) for n in (1, 2, 3)]
    assert [list(each)[1:] for each in taken] == [["choose.one"], ["choose.two"], ["choose.many"]]


async def test_a_failed_block_ends_the_run_with_its_place_and_reason(workflows, tasks):
    tasks.scripts["buy"] = fails("TARGET_NOT_FOUND", 'there is no button "Buy" on the page')
    run = await workflows.carried_out(
        {
            "blocks": [
                block("each", "for_loop", {"items": [1], "blocks": [page("buy")]}),
                page("never"),
            ]
        }
    )
    assert run.state == pb.WORKFLOW_RUN_STATE_FAILED
    assert run.failure.block_path == "each.0.buy"
    assert run.failure.reason == "TARGET_NOT_FOUND"
    assert run.failure.message == 'there is no button "Buy" on the page'
    assert run.failure.screenshot_artifact_id == "art_shot"
    assert states(run) == {"each": "failed", "each.0.buy": "failed"}
    kind, data = (await workflows.events(run.workflow_run_id))[-1]
    assert kind == "workflow_run.finished"
    assert data["failure"]["block_path"] == "each.0.buy"


async def test_a_task_that_finds_the_goal_impossible_terminates_the_run(workflows, tasks):
    state = task_pb2.TASK_STATE_TERMINATED
    tasks.scripts["a"] = fails("GOAL_IMPOSSIBLE", "sold out", state)
    run = await workflows.carried_out({"blocks": [page("a", retries=3)]})
    assert run.state == pb.WORKFLOW_RUN_STATE_TERMINATED
    assert len(tasks.tasks) == 1


async def test_a_failure_that_may_be_goes_on(workflows, tasks):
    tasks.scripts["a"] = fails("PAGE_NOT_LOADED", "no")
    run = await workflows.carried_out(
        {
            "blocks": [page("a", on_error="continue"), page("b")],
            "output": {"why": "{{ blocks.a.failure.reason }}"},
        }
    )
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED
    assert states(run) == {"a": "failed", "b": "completed"}
    assert wire.plain(run.output) == {"why": "PAGE_NOT_LOADED"}


async def test_a_failed_block_is_tried_again_with_a_key_of_its_own(workflows, tasks):
    attempts = []

    async def second_time(request, task):
        attempts.append(request.request_id)
        if len(attempts) == 1:
            await fails("PAGE_NOT_LOADED", "no")(request, task)

    tasks.scripts["a"] = second_time
    run = await workflows.carried_out({"blocks": [page("a", retries=2)]})
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED
    assert [(b.attempt, b.state) for b in run.blocks] == [
        (1, pb.BLOCK_RUN_STATE_FAILED),
        (2, pb.BLOCK_RUN_STATE_COMPLETED),
    ]
    assert attempts == [f"{run.run_id}/a/1", f"{run.run_id}/a/2"]


async def test_a_mistake_in_the_definition_is_not_tried_again(workflows):
    run = await workflows.carried_out(
        {
            "parameters": [{"key": "site", "type": "json"}],
            "blocks": [block("a", "goto_url", {"url": "{{ parameters.site }}"}, retries=3)],
        },
        site=[1],
    )
    assert run.failure.reason == "INVALID_PARAMS"
    assert run.failure.message == "params.url: must be a text"
    assert len(run.blocks) == 1


async def test_a_template_that_fails_while_running_names_its_place(workflows, tasks):
    tasks.scripts["a"] = answers({"name": "x"})
    run = await workflows.carried_out(
        {
            "blocks": [
                page("a"),
                block("b", "screenshot", {"name": "{{ blocks.a.output.title }}"}),
            ]
        }
    )
    assert run.failure.reason == "TEMPLATE_FAILED"
    assert run.failure.message == "params.name: there is no 'title' (there is: 'name')"


async def test_a_block_that_takes_too_long_is_stopped(workflows, site):
    site.answers["/slow"] = never_answers
    run = await workflows.carried_out(
        {"blocks": [block("a", "http_request", {"url": site.url + "/slow"}, timeout_s=0.3)]}
    )
    assert run.failure.reason == "TIMED_OUT"
    assert run.failure.message == "the block did not end within 0.3 s"


async def test_a_task_that_outlives_its_time_is_cancelled(workflows, tasks, monkeypatch):
    monkeypatch.setattr(execution, "TASK_GRACE_S", 0.1)
    tasks.scripts["a"] = hangs
    run = await workflows.carried_out({"blocks": [page("a", timeout_s=1)]})
    assert run.failure.reason == "TIMED_OUT"
    assert tasks.canceled == [f"{run.run_id}/a/1"]
    assert tasks.tasks[f"{run.run_id}/a/1"].spec.timeout.ToMilliseconds() <= 1000


async def test_the_time_of_a_loop_covers_its_blocks(workflows, tasks):
    run = await workflows.carried_out(
        {
            "blocks": [
                block(
                    "l",
                    "for_loop",
                    {"items": list(range(50)), "blocks": [block("w", "wait", {"seconds": 0.1})]},
                    timeout_s=0.35,
                )
            ]
        }
    )
    assert run.failure.reason == "TIMED_OUT"
    assert 2 <= len(run.blocks) <= 6


async def test_a_broken_stream_is_taken_up_again(workflows, tasks):
    tasks.break_streams = 3
    tasks.scripts["a"] = answers(1)
    run = await workflows.carried_out({"blocks": [page("a")]})
    assert run.state == pb.WORKFLOW_RUN_STATE_COMPLETED
    assert len(tasks.tasks) == 1
    assert tasks.calls == [f"{run.run_id}/a/1"] * 4
