"""A run can be rebuilt from its history alone, and whatever was tampered with shows."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from libs import errors, ids
from podium.common.v1 import event_pb2
from podium.run.v1 import run_pb2, run_pb2_grpc
from tests.contract.run.calls import a_request, finished, get, rebuilt, watched
from tests.contract.run.upstreams import Upstreams
from tests.support.eventually import eventually
from tests.support.mesh import Running

IDENTICAL = run_pb2.REBUILD_RESULT_IDENTICAL
DIFFERENT = run_pb2.REBUILD_RESULT_DIFFERENT
REPAIRED = run_pb2.REBUILD_RESULT_REPAIRED
BROKEN = run_pb2.REBUILD_RESULT_HISTORY_BROKEN


@pytest.fixture
def tamper(service: Running, tmp_path: Path) -> Any:
    """Changes the file behind the service's back."""

    def change(statement: str, *values: Any) -> None:
        with sqlite3.connect(service.mesh.settings.data / "run.db") as file:
            assert file.execute(statement, values).rowcount > 0
        file.close()

    return change


@pytest.fixture
async def run_id(stub: Any) -> str:
    """A run that has completed."""
    request = a_request(labels={"team": "a"}, idempotency_key="k")
    request.parameters.update({"n": 3, "deep": {"list": [1.5, None, True, "é", 2**60, 1e300]}})
    return (await finished(stub, (await stub.CreateRun(request)).run_id)).run_id


async def a_run_of_each_end(stub: Any, others: Upstreams) -> list[str]:
    made = []
    for ending in (
        {"state": "completed", "output": {"n": 1.5, "big": "x" * 20_000}},
        {"state": "completed"},
        {"state": "failed", "failure": {"reason": "X", "message": "x", "block_path": "a.0"}},
        {"state": "terminated", "failure": {"reason": "ENOUGH", "message": "done"}},
    ):
        others.workflow.ending = ending
        made.append((await stub.CreateRun(a_request())).run_id)
        await finished(stub, made[-1])
    others.workflow.needs_browser = False
    made.append((await stub.CreateRun(a_request())).run_id)
    others.workflow.needs_browser = True
    others.browser.refusal = errors.FailedPrecondition("no more browsers")
    made.append((await stub.CreateRun(a_request())).run_id)
    others.browser.refusal, others.browser.release_refusal = None, errors.Internal("broken")
    await finished(stub, made[-1])
    made.append((await stub.CreateRun(a_request())).run_id)
    for run_id in made:
        await finished(stub, run_id)
    return made


async def test_a_run_of_every_end_is_what_its_history_says(stub: Any, others: Upstreams) -> None:
    for run_id in await a_run_of_each_end(stub, others):
        found = await rebuilt(stub, run_id)
        assert found.result == IDENTICAL, found
        assert not found.HasField("difference")
        assert found.event_count == (await get(stub, run_id)).last_sequence


async def test_a_large_output_is_whole_in_the_history_and_thin_on_the_bus(
    stub: Any, others: Upstreams, service: Running
) -> None:
    others.workflow.ending = {"state": "completed", "output": {"text": "x" * 20_000}}
    run = await finished(stub, (await stub.CreateRun(a_request())).run_id)
    last = (await watched(stub, run.run_id))[-1]
    told = json_format.MessageToDict(last.data)
    assert told["output"] == {"text": "x" * 20_000}
    assert "output_omitted" not in told
    with sqlite3.connect(service.mesh.settings.data / "run.db") as file:
        sizes = [len(row[0]) for row in file.execute("SELECT event FROM outbox")]
    file.close()
    assert max(sizes) < 2_000


async def test_parameters_stay_in_the_history_and_off_the_bus(stub: Any, service: Running) -> None:
    request = a_request()
    request.parameters.update({"customer": "only-for-us"})
    run = await finished(stub, (await stub.CreateRun(request)).run_id)
    first = (await watched(stub, run.run_id))[0]
    assert json_format.MessageToDict(first.data)["parameters"] == {"customer": "only-for-us"}
    with sqlite3.connect(service.mesh.settings.data / "run.db") as file:
        events = b"".join(row[0] for row in file.execute("SELECT event FROM outbox"))
    file.close()
    assert b"only-for-us" not in events


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("UPDATE runs SET state = 'failed'", "run.state"),
        ("UPDATE runs SET output = '{\"answer\":43}'", "run.output.answer"),
        ("UPDATE runs SET ended_at = ended_at + 1", "run.ended_at"),
        ("UPDATE runs SET parameters = '{}'", "run.parameters.deep"),
        ("UPDATE runs SET request_hash = 'x'", "run.request_hash"),
        ("UPDATE runs SET steps = json_set(steps, '$[1].state', 'failed')", "run.steps[1].state"),
        ("UPDATE runs SET steps = json_set(steps, '$[2].message', 'x')", "run.steps[2].message"),
        ("UPDATE runs SET steps = json_remove(steps, '$[3]')", "run.steps"),
    ],
)
async def test_rows_that_were_changed_are_found_and_repaired(
    stub: Any, run_id: str, tamper: Any, change: str, place: str
) -> None:
    before = await get(stub, run_id)
    tamper(change)
    for _ in range(2):
        found = await rebuilt(stub, run_id)
        assert (found.result, found.difference.place) == (DIFFERENT, place)
    found = await rebuilt(stub, run_id, verify=False)
    assert (found.result, found.difference.place) == (REPAIRED, place)
    assert (await rebuilt(stub, run_id, verify=False)).result == IDENTICAL
    assert await get(stub, run_id) == before


async def test_a_run_whose_rows_are_gone_comes_back(stub: Any, run_id: str, tamper: Any) -> None:
    before = await get(stub, run_id)
    tamper("DELETE FROM runs")
    with pytest.raises(errors.NotFound):
        await get(stub, run_id)
    assert (await rebuilt(stub, run_id)).difference.place == "run"
    assert (await rebuilt(stub, run_id, verify=False)).result == REPAIRED
    assert await get(stub, run_id) == before


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("UPDATE history SET data = '{}' WHERE sequence = 2", "history[2].hash"),
        ("UPDATE history SET type = 'x' WHERE sequence = 2", "history[2].hash"),
        ("UPDATE history SET source = 'x' WHERE sequence = 4", "history[4].hash"),
        ("UPDATE history SET occurred_at = occurred_at + 1 WHERE sequence = 5", "history[5].hash"),
        ("UPDATE history SET hash = 'x' WHERE sequence = 1", "history[1].hash"),
        ("UPDATE history SET organization_id = 'org_b' WHERE sequence = 1", "history.organ"),
        ("DELETE FROM history WHERE sequence = 4", "history[4].sequence"),
        ("DELETE FROM history WHERE sequence = 1", "history[1].sequence"),
        ("DELETE FROM history WHERE type = 'run.finished'", "history.head"),
        ("DELETE FROM history", "history.head"),
        ("UPDATE history_heads SET sequence = sequence + 1", "history.head"),
        ("DELETE FROM history_heads", "history.head"),
        (
            "INSERT INTO history SELECT stream_id, sequence + 100, organization_id, type, source,"
            " occurred_at, request_id, data, hash FROM history WHERE type = 'run.finished'",
            "history[",
        ),
    ],
)
async def test_a_history_that_was_changed_is_found_and_never_built_upon(
    stub: Any, run_id: str, tamper: Any, change: str, place: str
) -> None:
    tamper(change)
    tamper("UPDATE runs SET title = 'mine'")
    for verify in (True, False):
        found = await rebuilt(stub, run_id, verify=verify)
        assert found.result == BROKEN
        assert found.difference.place.startswith(place)
    assert (await get(stub, run_id)).title == "mine"


async def test_what_is_nobodys_or_anothers_is_not_found(
    stub: Any, run_id: str, service: Running
) -> None:
    other = service.stub(run_pb2_grpc.RunServiceStub, organization="org_b")
    for whose, which in ((other, run_id), (stub, ids.new("run"))):
        for verify in (True, False):
            with pytest.raises(errors.NotFound):
                await rebuilt(whose, which, verify=verify)


async def test_late_reports_are_left_out(stub: Any, run_id: str, others: Upstreams) -> None:
    before = await get(stub, run_id)
    await others.workflow.publish("block.finished", run_id, {"block_path": "late"})
    # Events of a stream come in order: once the next run has ended, the late one was looked at.
    await finished(stub, (await stub.CreateRun(a_request())).run_id)
    events = await watched(stub, run_id)
    assert events[-1].type == "run.finished"
    assert len(events) == before.last_sequence == (await get(stub, run_id)).last_sequence
    assert (await rebuilt(stub, run_id)).result == IDENTICAL


async def test_alerts_of_the_other_services_are_kept_once(stub: Any, others: Upstreams) -> None:
    event = event_pb2.Event(
        event_id=ids.new("evt"), type="alert.raised", source="webhook", organization_id="org_a"
    )
    about = {"alert_id": ids.new("alrt"), "reason": "DEAD_LETTER", "level": "error"}
    event.data.update({**about, "message": "webhook could not handle run.finished"})
    event.occurred_at.GetCurrentTime()
    for _ in range(2):
        await others.workflow.bus.publish("webhook", [event])

    async def kept() -> Any:
        return (await stub.ListAlerts(run_pb2.ListAlertsRequest())).alerts

    (alert,) = await eventually(kept)
    assert (alert.alert_id, alert.reason) == (about["alert_id"], "DEAD_LETTER")
    assert alert.message == "webhook could not handle run.finished"


async def test_alerts_are_paged_newest_first_and_for_one_organisation(
    stub: Any, others: Upstreams, service: Running
) -> None:
    others.workflow.ending = {"state": "failed", "failure": {"reason": "X", "message": "x"}}
    others.browser.release_refusal = errors.Internal("broken")
    made = [(await stub.CreateRun(a_request())).run_id for _ in range(3)]
    for run_id in made:
        await finished(stub, run_id)
    first = await stub.ListAlerts(run_pb2.ListAlertsRequest(page_size=2))
    rest = await stub.ListAlerts(
        run_pb2.ListAlertsRequest(page_size=2, page_token=first.next_page_token)
    )
    listed = [*first.alerts, *rest.alerts]
    assert sorted(alert.run_id for alert in listed) == sorted(made)
    assert [a.alert_id for a in listed] == sorted((a.alert_id for a in listed), reverse=True)
    assert not rest.next_page_token
    other = service.stub(run_pb2_grpc.RunServiceStub, organization="org_b")
    assert not (await other.ListAlerts(run_pb2.ListAlertsRequest())).alerts
    with pytest.raises(errors.Invalid):
        await stub.ListAlerts(run_pb2.ListAlertsRequest(run_id="x"))
