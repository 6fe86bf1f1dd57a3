"""The values file: every knob turns something, and what cannot be is named."""

import pytest
import yaml

from deploy import layout
from deploy.compose import addresses
from deploy.envoy import config, governing, traffic

REGISTRY = {"discovery": "registry"}


def built(**values):
    rules = traffic.Traffic.model_validate({**REGISTRY, **values})
    return config.build(addresses.plan(layout.services(), rules=rules))


def cluster(made, name):
    return next(each for each in made["static_resources"]["clusters"] if each["name"] == name)


def manager(made, listener):
    found = next(x for x in made["static_resources"]["listeners"] if x["name"] == listener)
    return found["filter_chains"][0]["filters"][0]["typed_config"]


def routes_to(made, service):
    path = f"/podium.{service}.v1."
    (host,) = manager(made, "mesh")["route_config"]["virtual_hosts"]
    return [r for r in host["routes"] if r["match"].get("path", "").startswith(path)]


def test_the_trees_own_file_has_every_knob():
    said = yaml.safe_load(traffic.FILE.read_text())
    every = traffic.load(traffic.FILE).model_dump()
    assert set(said) == set(every)
    for section, knobs in every.items():
        if isinstance(knobs, dict):
            assert set(said[section]) == set(knobs), section


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("retries: { times: many }", "retries.times: Input should be a valid integer"),
        ("outliers: { most_percent: 101 }", "outliers.most_percent: Input should be less than"),
        ("cheese: 1", "cheese: Extra inputs are not permitted"),
        ("canary: { cheese: { percent: 5 } }", "canary: there is no service cheese"),
        ("discovery: rumour", "discovery: Input should be 'registry' or 'names'"),
        ("retries: {", "cannot be read"),
    ],
)
def test_what_cannot_be_is_named(tmp_path, text, why):
    file = tmp_path / "traffic.yaml"
    file.write_text(text)
    with pytest.raises(traffic.BadValues, match=why):
        traffic.load(file)


def test_knobs_turn_clusters_routes_and_the_edge():
    made = built(
        connect_timeout_s=5,
        health={"interval_s": 3, "unhealthy_after": 4},
        outliers={"refused_in_a_row": 5, "ejected_s": 6, "most_percent": 50},
        retries={"times": 7, "budget_percent": 8, "least_in_flight": 9, "back_off_ms": 20},
        limits={"requests": 10},
        edge={"rate_per_s": 100, "burst": 11, "connections": 12},
    )
    task = cluster(made, "task")
    assert task["connect_timeout"] == "5.0s"
    assert task["health_checks"][0]["interval"] == "3.0s"
    assert task["health_checks"][0]["unhealthy_threshold"] == 4
    assert task["health_checks"][0]["grpc_health_check"] == {}
    assert task["outlier_detection"]["consecutive_local_origin_failure"] == 5
    assert task["outlier_detection"]["base_ejection_time"] == "6.0s"
    assert task["outlier_detection"]["enforcing_consecutive_5xx"] == 0
    (threshold,) = task["circuit_breakers"]["thresholds"]
    assert threshold["retry_budget"]["min_retry_concurrency"] == 9
    assert threshold["max_requests"] == 10
    policy = routes_to(made, "task")[0]["route"]["retry_policy"]
    assert (policy["num_retries"], policy["retry_back_off"]["base_interval"]) == (7, "0.02s")
    first = manager(made, "edge")["http_filters"][0]["typed_config"]
    assert first["token_bucket"]["tokens_per_fill"] == 10
    assert first["rate_limited_as_resource_exhausted"]
    (monitor,) = made["overload_manager"]["resource_monitors"]
    assert monitor["typed_config"]["max_active_downstream_connections"] == 12


def test_no_rate_is_no_limit():
    names = [f["name"] for f in manager(built(edge={"rate_per_s": 0}), "edge")["http_filters"]]
    assert "envoy.filters.http.local_ratelimit" not in names


def test_a_canary_gets_its_share_and_who_asks_for_it():
    made = built(canary={"task": {"percent": 5}})
    asked, shared = routes_to(made, "task")[:2]
    assert asked["match"]["headers"][-1]["name"] == governing.CANARY_HEADER
    assert asked["route"]["cluster"] == "task-canary-first"
    weights = {c["name"]: c["weight"] for c in shared["route"]["weighted_clusters"]["clusters"]}
    assert weights == {"task": 9500, "task-canary-first": 500}
    both = cluster(made, "task-canary-first")["cluster_type"]["typed_config"]["clusters"]
    assert both == ["task-canary", "task"]
    assert cluster(made, "task-canary")["type"] == "EDS"
    assert all("cluster" in route["route"] for route in routes_to(made, "run"))
