"""What RunService promises, over real gRPC, SQLite and Valkey."""

from __future__ import annotations

import asyncio
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import duration_pb2

from libs import errors, history
from podium.run.v1 import run_pb2, run_pb2_grpc
from services.run import wire
from services.run.service import RunService
from tests.contract.run.calls import a_request, finished, step_states, watched
from tests.contract.run.upstreams import Upstreams
from tests.support.eventually import eventually
from tests.support.mesh import Running, running


async def test_a_run_completes_and_its_history_has_no_gaps(stub: Any, others: Upstreams) -> None:
    created = await stub.CreateRun(a_request(labels={"team": "a"}))
    assert created.run.state == run_pb2.RUN_STATE_QUEUED
    run = await finished(stub, created.run_id)
    assert run.state == run_pb2.RUN_STATE_COMPLETED
    assert run.output["answer"] == 42
    assert run.workflow_version == 3
    assert set(step_states(run).values()) == {"completed"}
    events = await watched(stub, run.run_id)
    assert [event.sequence for event in events] == list(range(1, run.last_sequence + 1))
    types = [event.type for event in events]
    assert types[0] == "run.created"
    assert types[-1] == "run.finished"
    assert types.count("workflow_run.finished") == 1
    assert others.workflow.runs[run.workflow_run_id].browser_session_id == run.browser_session_id
    # On success the session is released by whoever reacts to run.finished, not by a call.
    assert others.browser.calls == ["acquire"]


async def test_the_hash_chain_covers_the_whole_history(stub: Any) -> None:
    run = await finished(stub, (await stub.CreateRun(a_request())).run_id)
    previous = ""
    for event in await watched(stub, run.run_id):
        # A client can check it with nothing but the stream.
        assert event.hash == history.chained(
            previous,
            event.run_id,
            event.sequence,
            event.type,
            event.source,
            event.occurred_at.ToDatetime(tzinfo=UTC),
            wire.plain(event.data),
        )
        previous = event.hash


async def test_watching_resumes_after_any_sequence(stub: Any) -> None:
    run = await finished(stub, (await stub.CreateRun(a_request())).run_id)
    events = await watched(stub, run.run_id)
    for after in (0, 1, 4, run.last_sequence):
        assert await watched(stub, run.run_id, after) == events[after:]


async def test_a_watcher_sees_events_as_they_happen(stub: Any, others: Upstreams) -> None:
    others.workflow.ending = None
    created = await stub.CreateRun(a_request())
    watching = asyncio.create_task(watched(stub, created.run_id))
    await eventually(lambda: "start" in others.workflow.calls)
    await others.workflow.publish("block.finished", created.run_id, {"block_path": "a"})
    workflow_run = next(iter(others.workflow.runs.values()))
    await others.workflow.end(workflow_run, {"state": "completed"})
    events = await asyncio.wait_for(watching, 10)
    assert [e.type for e in events if e.source == "workflow"] == [
        "block.finished",
        "workflow_run.finished",
    ]


async def test_an_event_delivered_twice_is_one_history_event(stub: Any, others: Upstreams) -> None:
    others.workflow.ending = None
    created = await stub.CreateRun(a_request())
    await eventually(lambda: "start" in others.workflow.calls)
    event = await others.workflow.publish("block.finished", created.run_id, {"block_path": "a"})
    await others.workflow.bus.publish("workflow", [event])
    await others.workflow.end(next(iter(others.workflow.runs.values())), {"state": "completed"})
    await finished(stub, created.run_id)
    types = [event.type for event in await watched(stub, created.run_id)]
    assert types.count("block.finished") == 1


async def test_events_that_two_replicas_read_out_of_order_are_written_in_order(
    stub: Any, others: Upstreams
) -> None:
    others.workflow.ending = None
    created = await stub.CreateRun(a_request())
    await eventually(lambda: "start" in others.workflow.calls)
    began = others.workflow.event("block.started", created.run_id, {"block_path": "a"})
    ended = others.workflow.event(
        "block.finished", created.run_id, {"block_path": "a"}, after=began.event_id
    )
    await others.workflow.bus.publish("workflow", [ended])
    await others.workflow.bus.publish("workflow", [began])

    async def told() -> list[str]:
        request = run_pb2.GetRunRequest(run_id=created.run_id)
        last = (await stub.GetRun(request)).run.last_sequence
        seen = []
        async for answer in stub.WatchRun(run_pb2.WatchRunRequest(run_id=created.run_id)):
            seen.append(answer.event.type)
            if answer.event.sequence >= last:
                break
        return [type_ for type_ in seen if type_.startswith("block.")]

    async def both() -> bool:
        return len(await told()) == 2

    await eventually(both, within=15)
    assert await told() == ["block.started", "block.finished"]


async def test_the_same_key_answers_the_same_run(stub: Any) -> None:
    request = a_request(idempotency_key="k1")
    answers = await asyncio.gather(*(stub.CreateRun(request) for _ in range(8)))
    assert len({answer.run_id for answer in answers}) == 1
    with pytest.raises(errors.Conflict) as conflict:
        await stub.CreateRun(a_request(idempotency_key="k1", labels={"other": "request"}))
    assert conflict.value.reason == "IDEMPOTENCY_CONFLICT"


async def test_keys_of_different_organisations_do_not_meet(stub: Any, service: Running) -> None:
    mine = await stub.CreateRun(a_request(idempotency_key="same"))
    other = service.stub(run_pb2_grpc.RunServiceStub, organization="org_b")
    theirs = await other.CreateRun(a_request(idempotency_key="same"))
    assert mine.run_id != theirs.run_id
    for call in (
        other.GetRun(run_pb2.GetRunRequest(run_id=mine.run_id)),
        other.CancelRun(run_pb2.CancelRunRequest(run_id=mine.run_id)),
        other.WaitRun(run_pb2.WaitRunRequest(run_id=mine.run_id)),
        watched(other, mine.run_id),
    ):
        with pytest.raises(errors.NotFound):
            await call
    assert mine.run_id not in {
        run.run_id for run in (await other.ListRuns(run_pb2.ListRunsRequest())).runs
    }


async def test_a_failed_workflow_is_compensated_in_reverse(stub: Any, others: Upstreams) -> None:
    failure = {"reason": "ELEMENT_NOT_FOUND", "message": "no button", "block_path": "login"}
    others.workflow.ending = {"state": "failed", "failure": failure}
    run = await finished(stub, (await stub.CreateRun(a_request())).run_id)
    assert run.state == run_pb2.RUN_STATE_FAILED
    assert run.failure.reason == "ELEMENT_NOT_FOUND"
    assert run.failure.block_path == "login"
    assert step_states(run) == {
        "create_workflow_run": "compensated",
        "acquire_browser_session": "compensated",
        "execute_workflow": "failed",
        "send_webhooks": "completed",
    }
    undone = [
        event.data["step"]
        for event in await watched(stub, run.run_id)
        if event.type == "saga.step_compensated"
    ]
    assert undone == ["acquire_browser_session", "create_workflow_run"]
    assert others.browser.held == {}


async def test_no_browser_in_time_fails_the_run(stub: Any, others: Upstreams) -> None:
    others.browser.refusal = errors.FailedPrecondition("the session has ended")
    run = await finished(stub, (await stub.CreateRun(a_request())).run_id)
    assert run.state == run_pb2.RUN_STATE_FAILED
    assert run.failure.message == "the session has ended"
    assert step_states(run)["acquire_browser_session"] == "failed"
    assert step_states(run)["create_workflow_run"] == "compensated"


async def test_a_compensation_that_fails_is_told(stub: Any, others: Upstreams) -> None:
    others.workflow.ending = {"state": "failed", "failure": {"reason": "X", "message": "x"}}
    others.browser.release_refusal = errors.Internal("broken")
    run = await finished(stub, (await stub.CreateRun(a_request())).run_id)
    assert run.state == run_pb2.RUN_STATE_FAILED
    assert run.detail.startswith("compensation_failed: acquire_browser_session")
    assert step_states(run)["acquire_browser_session"] == "compensation_failed"
    assert step_states(run)["create_workflow_run"] == "compensated"
    events = await watched(stub, run.run_id)
    (raised,) = [event for event in events if event.type == "alert.raised"]
    (alert,) = (await stub.ListAlerts(run_pb2.ListAlertsRequest(run_id=run.run_id))).alerts
    assert alert.alert_id == raised.data["alert_id"]
    assert (alert.reason, alert.level) == ("COMPENSATION_FAILED", "error")
    assert alert.run_id == run.run_id
    assert alert.message
    assert alert.context["step"] == "acquire_browser_session"


async def test_a_workflow_without_a_page_needs_no_session(stub: Any, others: Upstreams) -> None:
    others.workflow.needs_browser = False
    run = await finished(stub, (await stub.CreateRun(a_request())).run_id)
    assert run.state == run_pb2.RUN_STATE_COMPLETED
    assert others.browser.calls == []
    assert step_states(run)["acquire_browser_session"] == "skipped"


async def test_cancel_interrupts_within_a_second_and_compensates(
    stub: Any, others: Upstreams
) -> None:
    others.workflow.ending = None
    created = await stub.CreateRun(a_request())
    await eventually(lambda: "start" in others.workflow.calls)
    await stub.CancelRun(run_pb2.CancelRunRequest(run_id=created.run_id, reason="not needed"))
    run = await asyncio.wait_for(finished(stub, created.run_id), 2)
    assert run.state == run_pb2.RUN_STATE_CANCELED
    assert run.failure.message == "not needed"
    assert "cancel" in others.workflow.calls
    assert step_states(run)["acquire_browser_session"] == "compensated"
    again = await stub.CancelRun(run_pb2.CancelRunRequest(run_id=created.run_id))
    assert again.run.state == run_pb2.RUN_STATE_CANCELED


async def test_a_run_that_takes_too_long_times_out(stub: Any, others: Upstreams) -> None:
    others.workflow.ending = None
    request = a_request(timeout=duration_pb2.Duration(seconds=1))
    run = await finished(stub, (await stub.CreateRun(request)).run_id)
    assert run.state == run_pb2.RUN_STATE_TIMED_OUT
    assert "did not end within 1 s" in run.failure.message


async def test_a_lost_announcement_is_found_by_asking(stub: Any, others: Upstreams) -> None:
    others.workflow.announce = False
    run = await finished(stub, (await stub.CreateRun(a_request())).run_id)
    assert run.state == run_pb2.RUN_STATE_COMPLETED
    assert run.output["answer"] == 42


async def test_another_replica_takes_over(
    others: Upstreams, tmp_path: Path, redis_url: str
) -> None:
    others.workflow.ending = None
    more = {"peers": others.peers, "lease_ttl_s": 1.0}
    async with running(RunService, tmp_path, redis_url, **more) as first:
        created = await first.stub(run_pb2_grpc.RunServiceStub).CreateRun(a_request())
        await eventually(lambda: "start" in others.workflow.calls)
    async with running(RunService, tmp_path, redis_url, **more) as second:
        await others.workflow.end(next(iter(others.workflow.runs.values())), {"state": "completed"})
        run = await finished(second.stub(run_pb2_grpc.RunServiceStub), created.run_id)
    assert run.state == run_pb2.RUN_STATE_COMPLETED
    assert others.browser.calls.count("acquire") == 1


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (run_pb2.CreateRunRequest(), "workflow_id"),
        (run_pb2.CreateRunRequest(workflow_id=""), "workflow_id"),
        (a_request(workflow_version=-1), "workflow_version"),
        (a_request(idempotency_key="x" * 129), "idempotency_key"),
        (a_request(idempotency_key="schlüssel"), "idempotency_key"),
        (a_request(labels={"": "x"}), "labels"),
        (a_request(labels={"k": "v" * 257}), "labels.k"),
        (a_request(labels={str(i): "" for i in range(17)}), "labels"),
        (a_request(timeout=duration_pb2.Duration(seconds=-1)), "timeout"),
        (a_request(timeout=duration_pb2.Duration(seconds=90_000)), "timeout"),
        (a_request(browser_session_id="run_x"), "browser_session_id"),
        (a_request(parameters={"bad": 1}), "parameters.bad"),
    ],
)
async def test_a_bad_request_names_the_field(
    stub: Any, request_: run_pb2.CreateRunRequest, field: str
) -> None:
    with pytest.raises(errors.Invalid) as invalid:
        await stub.CreateRun(request_)
    assert [name for name, _ in invalid.value.violations] == [field]
    assert not (await stub.ListRuns(run_pb2.ListRunsRequest())).runs


async def test_an_unknown_workflow_is_not_found(stub: Any) -> None:
    with pytest.raises(errors.NotFound):
        await stub.CreateRun(a_request(workflow_id="missing"))


async def test_lists_are_paged_newest_first(stub: Any) -> None:
    made = [(await stub.CreateRun(a_request())).run_id for _ in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page = await stub.ListRuns(run_pb2.ListRunsRequest(page_size=2, page_token=token))
        seen += [run.run_id for run in page.runs]
        if not (token := page.next_page_token):
            break
    assert seen == made[::-1]
    with pytest.raises(errors.Invalid):
        await stub.ListRuns(run_pb2.ListRunsRequest(page_token="!!!"))
    with pytest.raises(errors.Invalid):
        await stub.ListRuns(run_pb2.ListRunsRequest(page_size=-1))
    for number in (0, 99):
        with pytest.raises(errors.Invalid) as invalid:
            await stub.ListRuns(run_pb2.ListRunsRequest(states=[number]))  # type: ignore[list-item]
        assert invalid.value.violations[0][0] == "states"
