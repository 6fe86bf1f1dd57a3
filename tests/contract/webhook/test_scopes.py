"""Which events an endpoint is told of: filters, one run, one workflow; and the feed to pull."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from libs import errors, ids
from podium.webhook.v1 import webhook_pb2 as pb
from tests.contract.webhook.conftest import Sink, World
from tests.support.eventually import eventually


def kinds(sink: Sink, path: str) -> list[str]:
    return sorted(json.loads(one.body)["type"] for one in sink.at(path))


async def create(world: World, **fields: Any) -> pb.Endpoint:
    made = await world.stub().CreateEndpoint(pb.CreateEndpointRequest(**fields))
    return made.endpoint


async def test_a_filter_looks_at_the_event(world: World, sink: Sink) -> None:
    await create(world, url=sink.url + "/failed", filter="data.state == 'failed'")
    await create(world, url=sink.url + "/all")
    await world.announce("run.finished", state="failed")
    await world.announce("run.finished", state="completed")
    await world.announce("run.started")
    await eventually(lambda: len(sink.at("/all")) == 3 and len(sink.at("/failed")) == 1)
    assert json.loads(sink.at("/failed")[0].body)["data"]["state"] == "failed"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"filter": "data.state =="}, "filter"),
        ({"filter": "'text'"}, "filter"),
        ({"run_id": "wf_1"}, "run_id"),
        ({"workflow_id": "nonsense"}, "workflow_id"),
        ({"rate_limit_per_s": -1.0}, "rate_limit_per_s"),
        ({"rate_limit_per_s": 1e9}, "rate_limit_per_s"),
        ({"max_in_flight": 65}, "max_in_flight"),
    ],
)
async def test_a_wrong_scope_is_named(world: World, fields: dict, field: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        await create(world, url="http://127.0.0.1:9/", **fields)
    assert refusal.value.violations[0][0] == field


async def test_an_endpoint_of_a_run_is_told_what_was_before_it(world: World, sink: Sink) -> None:
    run_id, other = ids.new("run"), ids.new("run")
    await world.endpoint(sink.url + "/all")
    for about in (run_id, other):
        await world.announce("run.created", run_id=about)
    await world.announce("block.started", source="workflow", run_id=run_id)
    await eventually(lambda: len(sink.at("/all")) == 3)
    made = await create(world, url=sink.url + "/one", run_id=run_id, event_types=["run.*"])
    assert made.run_id == run_id
    for about in (run_id, other):
        await world.announce("run.finished", run_id=about)
    await eventually(lambda: len(sink.at("/all")) == 5 and len(sink.at("/one")) == 2)
    assert kinds(sink, "/one") == ["run.created", "run.finished"]
    assert {json.loads(one.body)["data"]["run_id"] for one in sink.at("/one")} == {run_id}


async def test_an_endpoint_of_a_workflow_is_told_of_all_its_runs(world: World, sink: Sink) -> None:
    workflow_id, run_id, other = ids.new("wf"), ids.new("run"), ids.new("run")
    await create(world, url=sink.url + "/one", workflow_id=workflow_id)
    await world.endpoint(sink.url + "/all")
    # Events of a run come over several streams; here one is ahead of the run's first.
    await world.announce("block.started", source="workflow", run_id=run_id)
    await eventually(lambda: len(sink.at("/all")) == 1)
    await world.announce("run.created", run_id=run_id, workflow_id=workflow_id)
    await world.announce("run.created", run_id=other, workflow_id=ids.new("wf"))
    await eventually(lambda: len(sink.at("/all")) == 3)
    await world.announce("block.finished", source="workflow", run_id=run_id)
    await world.announce("block.finished", source="workflow", run_id=other)
    # What an event of another service says about workflows is not believed.
    await world.announce("task.finished", source="task", run_id=other, workflow_id=workflow_id)
    await eventually(lambda: len(sink.at("/all")) == 6 and len(sink.at("/one")) >= 3)
    assert kinds(sink, "/one") == ["block.finished", "block.started", "run.created"]


async def test_events_can_be_pulled_in_order(world: World) -> None:
    run_id = ids.new("run")
    sent = [await world.announce("run.created", run_id=run_id)]
    sent += [await world.announce("run.started", number=number) for number in range(4)]
    await World(world.service).announce("run.created")

    async def pull(**fields: Any) -> pb.ListEventsResponse:
        return await world.stub().ListEvents(pb.ListEventsRequest(**fields))

    async def all_there() -> Any:
        found = (await pull()).events
        return found if len(found) == 5 else None

    found = await eventually(all_there)
    assert [one.event_id for one in found] == [one.event_id for one in sent]
    assert [one.position for one in found] == [1, 2, 3, 4, 5]
    assert found[1].payload.fields["data"].struct_value["number"] == 0
    seen, after = [], 0
    for size in (2, 2, 1, 0):
        page = await pull(after=after, page_size=2)
        assert len(page.events) == size
        seen += [one.event_id for one in page.events]
        after = page.next_after
    assert seen == [one.event_id for one in sent]
    assert [one.event_type for one in (await pull(run_id=run_id)).events] == ["run.created"]
    only = await pull(event_types=["run.created", "block.*"], page_size=1)
    assert (len(only.events), only.next_after) == (1, 1)
    assert (await pull(event_types=["block.*"])).next_after == 5


async def test_a_pull_waits_for_the_next_event(world: World) -> None:
    request = pb.ListEventsRequest(wait=Duration(seconds=20))
    waiting = asyncio.create_task(world.stub().ListEvents(request))
    event = await world.announce("run.created")
    answer = await asyncio.wait_for(waiting, 15)
    assert [one.event_id for one in answer.events] == [event.event_id]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"after": -1}, "after"),
        ({"page_size": -1}, "page_size"),
        ({"run_id": "x"}, "run_id"),
        ({"event_types": ["runs.*"]}, "event_types[0]"),
        ({"wait": Duration(seconds=31)}, "wait"),
    ],
)
async def test_a_wrong_pull_is_named(world: World, fields: dict, field: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        await world.stub().ListEvents(pb.ListEventsRequest(**fields))
    assert refusal.value.violations[0][0] == field
