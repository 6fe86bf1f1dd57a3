"""Breakers and bulkheads before upstreams that really fail, hang and come back."""

from __future__ import annotations

import asyncio

import grpc
import pytest
import sqlalchemy as sa

from gateway.bulkheads import Room
from libs.outbox import outbox
from libs.rpc.chain import ServerChain
from podium.common.v1 import event_pb2
from podium.run.v1 import run_pb2, run_pb2_grpc
from tests.contract.gateway.edge import FakeRuns, edge
from tests.support.eventually import eventually
from tests.support.mesh import PUBLIC_KEY, socket_address


async def start(address: str, runs: FakeRuns) -> grpc.aio.Server:
    """A run service at an address, to be killed and started again."""
    server = grpc.aio.server(interceptors=[ServerChain(PUBLIC_KEY)])
    run_pb2_grpc.add_RunServiceServicer_to_server(runs, server)
    server.add_insecure_port(address)
    await server.start()
    return server


async def breaker_of(front, upstream: str = "run") -> dict:
    """What GET /v1/mesh says of a breaker."""
    _, body, _ = await front.ask("GET", "/v1/mesh")
    return body["upstreams"][upstream]["breaker"]


async def alerts_of(front) -> list[tuple[str, dict]]:
    """What the gateway has raised, with whom it tells."""
    query = sa.select(outbox.c.event)
    rows = await front.gateway.db.read(lambda tx: list(tx.execute(query).scalars()))
    events = map(event_pb2.Event.FromString, rows)
    return [(event.organization_id, dict(event.data)) for event in events]


async def test_a_dead_upstream_opens_its_breaker_and_a_probe_closes_it(tmp_path):
    address, runs = socket_address(), FakeRuns()
    server = await start(address, runs)
    async with edge(tmp_path, runs_at=address, breaker_reset_s=0.5) as front:
        assert (await front.ask("GET", "/v1/runs/a"))[0] == 200
        await server.stop(0)
        details = [(await front.ask("GET", "/v1/runs/a"))[1]["reason"] for _ in range(7)]
        assert details == ["UNAVAILABLE"] * 5 + ["BREAKER_OPEN"] * 2
        assert (await breaker_of(front))["state"] == "open"
        assert (await breaker_of(front, "browser_session"))["state"] == "closed"
        status, body, headers = await front.ask("GET", "/v1/runs/a/watch")
        assert (status, body["reason"], headers["retry-after"]) == (503, "BREAKER_OPEN", "1")
        server = await start(address, runs)

        async def recovered() -> bool:
            return (await front.ask("GET", "/v1/runs/a"))[0] == 200

        await eventually(recovered, within=5)
        ((organization_id, told),) = await eventually(lambda: alerts_of(front))
        assert organization_id
        assert (told["reason"], told["upstream"]) == ("BREAKER_OPEN", "run")
        assert (await breaker_of(front))["state"] == "closed"
        await server.stop(0)


async def test_half_open_sends_one_probe_however_many_ask(tmp_path):
    async with edge(tmp_path, breaker_reset_s=0.2) as front:
        front.runs.broken = True
        for _ in range(5):
            await front.ask("GET", "/v1/runs/a")
        front.runs.broken = False
        guard = front.gateway.upstreams.guards["run"]
        await eventually(lambda: guard.breaker.retry_after_s == 0)
        seen = len(front.runs.requests)
        calls = [asyncio.create_task(front.ask("GET", "/v1/runs/hold")) for _ in range(20)]
        await eventually(lambda: sum(call.done() for call in calls) == 19)
        await eventually(lambda: len(front.runs.requests) == seen + 1)
        front.runs.hold.set()
        assert sorted([(await call)[0] for call in calls]) == [200] + [503] * 19
        assert guard.breaker.state == "closed"


@pytest.mark.parametrize("run_id", ["missing", "busy"])
async def test_answers_that_are_not_faults_never_open_it(front, run_id):
    for _ in range(10):
        await front.ask("GET", f"/v1/runs/{run_id}")
    assert (await breaker_of(front))["state"] == "closed"


async def test_neither_impatient_nor_leaving_clients_open_it(front):
    for _ in range(6):
        await front.ask("GET", "/v1/runs/hang", headers={"x-timeout-ms": "60"})
    stub = run_pb2_grpc.RunServiceStub(front.channel)
    for _ in range(6):
        call = stub.GetRun(run_pb2.GetRunRequest(run_id="hang"), metadata=list(front.auth.items()))
        await eventually(lambda: front.gateway.upstreams.guards["run"].bulkhead.running)
        call.cancel()
        await eventually(lambda: not front.gateway.upstreams.guards["run"].bulkhead.running)
    assert (await breaker_of(front))["failures_in_a_row"] == 0


async def test_streams_that_fail_open_it_too(front):
    for _ in range(5):
        async with front.http.get(f"{front.url}/v1/runs/breaks/watch", headers=front.auth) as it:
            await it.read()
    # Each stream did open, and each opening was an answer.
    assert (await breaker_of(front))["state"] == "closed"
    for _ in range(5):
        await front.ask("GET", "/v1/workflows")
    assert (await breaker_of(front, "workflow"))["state"] == "open"


async def test_a_full_bulkhead_is_429_and_only_for_its_own_upstream(tmp_path):
    rooms = {"run": Room(concurrent=2, queued=1)}
    async with edge(tmp_path, bulkheads=rooms) as front:
        guard = front.gateway.upstreams.guards["run"].bulkhead
        held = [asyncio.create_task(front.ask("GET", "/v1/runs/hold")) for _ in range(3)]
        await eventually(lambda: (guard.running, guard.queued) == (2, 1))
        status, body, headers = await front.ask("GET", "/v1/runs/a")
        assert (status, body["reason"], headers["retry-after"]) == (429, "BULKHEAD_FULL", "1")
        _, body, _ = await front.ask("GET", "/v1/mesh")
        state = body["upstreams"]["run"]["bulkhead"]
        assert (state["running"], state["queued"], state["refused"]) == (2, 1, 1)
        url = f"{front.url}/v1/artifacts/art_1/content"
        async with front.http.get(url, headers=front.auth) as answer:
            assert answer.status == 200
        front.runs.hold.set()
        assert [(await call)[0] for call in held] == [200, 200, 200]
        assert (guard.running, guard.queued) == (0, 0)


async def test_waiting_calls_take_no_place(tmp_path):
    rooms = {"run": Room(concurrent=1, queued=0)}
    async with edge(tmp_path, bulkheads=rooms) as front:
        waiting = [asyncio.create_task(front.ask("GET", "/v1/runs/r/wait")) for _ in range(5)]
        await eventually(lambda: len(front.runs.requests) == 5)
        assert (await front.ask("GET", "/v1/runs/a"))[0] == 200
        front.runs.hold.set()
        assert [(await call)[1]["done"] for call in waiting] == [True] * 5


async def test_time_spent_in_the_queue_counts_against_the_deadline(tmp_path):
    rooms = {"run": Room(concurrent=1, queued=5)}
    async with edge(tmp_path, bulkheads=rooms) as front:
        held = asyncio.create_task(front.ask("GET", "/v1/runs/hold"))
        await eventually(lambda: front.gateway.upstreams.guards["run"].bulkhead.running)
        status, _, _ = await front.ask("GET", "/v1/runs/a", headers={"x-timeout-ms": "100"})
        assert status == 429
        front.runs.hold.set()
        assert (await held)[0] == 200


async def test_a_gateway_that_is_itself_refused_does_not_blame_the_client(tmp_path):
    async with edge(tmp_path, service_token="forged.token") as front:
        status, body, _ = await front.ask("GET", "/v1/runs/a")
    assert (status, body["code"]) == (500, "INTERNAL")
    assert "token" not in body["detail"]
