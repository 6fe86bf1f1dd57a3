"""What Prometheus reads from a process that serves."""

from __future__ import annotations

import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from libs import errors, ids, metrics
from libs.rpc import identity
from podium.run.v1 import run_pb2, run_pb2_grpc
from services.run.service import RunService
from tests.support.eventually import eventually
from tests.support.mesh import running

GET = "/podium.run.v1.RunService/GetRun"


def read(address: str) -> dict[tuple[str, ...], Any]:
    """The samples by their names and the values of their labels in the order of those."""
    wanted = {"accept": "application/openmetrics-text"}
    asked = urllib.request.Request(f"http://{address}/metrics", headers=wanted)
    with urllib.request.urlopen(asked, timeout=5) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def address():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with metrics.served(f"127.0.0.1:{port}"):
        yield f"127.0.0.1:{port}"


async def test_calls_are_counted_by_their_outcome(address, tmp_path: Path, redis_url: str):
    def count(code: str) -> float:
        found = read(address).get(("podium_rpc_duration_seconds_count", code, GET))
        return found.value if found else 0.0

    async with running(RunService, tmp_path, redis_url) as service:
        before = {code: count(code) for code in ("NOT_FOUND", "INVALID_ARGUMENT")}
        stub = service.stub(run_pb2_grpc.RunServiceStub)
        for run_id in (ids.new("run"), "no id"):
            with pytest.raises((errors.NotFound, errors.Invalid)):
                await stub.GetRun(run_pb2.GetRunRequest(run_id=run_id))
    for code, known in before.items():
        assert count(code) == known + 1
    assert read(address)["podium_rpcs_running", GET].value == 0


async def test_commits_and_room_are_shown(address, tmp_path: Path, redis_url: str):
    async with running(RunService, tmp_path, redis_url) as service:
        before = read(address)["podium_db_units_total",].value
        await service.mesh.db.write(lambda tx: tx.notify("anything"))
        found = read(address)
        assert found["podium_db_units_total",].value > before
        assert found["podium_work_running", "saga"].value == 0
        assert found["podium_work_room", "saga"].value > 0


async def test_what_waits_shows_its_age(address, tmp_path: Path):
    def value(name: str) -> float:
        return read(address)[name,].value

    away = "redis://127.0.0.1:1/0"
    async with running(RunService, tmp_path, away) as service:
        assert value("podium_db_connections_room") >= value("podium_db_connections_used") >= 0
        await service.mesh.db.write(lambda tx: tx.publish("a.thing", {}, organization_id="org_a"))
        await eventually(lambda: value("podium_outbox_lag_seconds") > 0)
        assert value("podium_outbox_waiting") == 1
        assert value("podium_registry_failures_total") > 0


def test_caches_count_for_themselves(address):
    private, public = identity.generate()
    for _ in range(3):
        identity.caller_of(identity.mint(private, "run"), public)
    hits = read(address)["podium_cache_lookups_total", "service_tokens", "hit"]
    assert hits.value >= 2


def test_nothing_is_served_without_an_address():
    with metrics.served(""):
        pass
