"""Which endpoints Envoy is told: what lives, and what nobody knows to be dead."""

import pytest

from deploy.discovery import files
from deploy.discovery.endpoints import DOUBT_S, Endpoints
from libs.registry import Listing, Replica


def listing(*addresses, run_id="r1"):
    return Listing(run_id, tuple(Replica(a, "task", f"unix:/{a}") for a in addresses))


@pytest.fixture
def endpoints():
    """Two known replicas, and no more doubt."""
    made = Endpoints({"task": ["unix:/a", "unix:/b"]})
    made.take(listing("a", "b"), 0.0)
    return made


def task(endpoints):
    return [target.removeprefix("unix:/") for target in endpoints.clusters["task"]]


def test_who_comes_is_added_and_who_is_gone_is_removed(endpoints):
    assert endpoints.take(listing("a", "b", "c"), DOUBT_S) == ["task"]
    assert endpoints.take(listing("a", "b", "c"), DOUBT_S) == []
    assert endpoints.take(listing("a", "c"), DOUBT_S) == ["task"]
    assert task(endpoints) == ["a", "c"]


def test_the_last_ones_stay_when_nobody_is_left(endpoints):
    assert endpoints.take(listing(), DOUBT_S) == []
    assert task(endpoints) == ["a", "b"]


@pytest.mark.parametrize("reason", ["away", "restarted"])
def test_after_the_registry_was_away_nobody_is_removed_for_a_while(endpoints, reason):
    if reason == "away":
        endpoints.doubt()
    run_id = "r2" if reason == "restarted" else "r1"
    back = 100.0
    assert endpoints.take(listing("c", run_id=run_id), back) == ["task"]
    assert task(endpoints) == ["a", "b", "c"]
    endpoints.take(listing("c", run_id=run_id), back + DOUBT_S - 0.1)
    assert task(endpoints) == ["a", "b", "c"]
    endpoints.take(listing("c", run_id=run_id), back + DOUBT_S)
    assert task(endpoints) == ["c"]


def test_a_gateway_has_two_doors_and_strangers_none():
    made = Endpoints({"gateway-grpc": [], "gateway-http": []})
    gateway = Replica("g", "gateway", "10.0.0.1:50051", http_address="10.0.0.1:8081")
    made.take(Listing("r", (gateway, Replica("x", "cheese", "unix:/x"))), 0.0)
    assert made.clusters == {
        "gateway-grpc": ("10.0.0.1:50051",),
        "gateway-http": ("10.0.0.1:8081",),
    }


def test_files_say_again_what_was_written(tmp_path):
    first = {"task": ["unix:/a", "10.0.0.1:50051"], "run": []}
    files.prepare(tmp_path, first, anew=False)
    assert files.read(tmp_path) == first
    files.prepare(tmp_path, {"task": []}, anew=False)
    assert files.read(tmp_path) == {"task": first["task"]}, "what is known stays"
    files.prepare(tmp_path, {"task": []}, anew=True)
    assert files.read(tmp_path) == {"task": []}
