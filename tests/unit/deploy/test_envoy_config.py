"""What Envoy is told, from the contracts."""

import re

import pytest

from deploy import layout
from deploy.compose import addresses
from deploy.envoy import clusters, config, routes
from deploy.envoy.methods import grpc_services
from libs.rpc import spiffe
from libs.rpc.policy import rpcs


@pytest.fixture(scope="module")
def built():
    return config.build(
        config.Plan(
            edge="127.0.0.1:8080",
            mesh="unix:/run/mesh.sock",
            admin="unix:/run/admin.sock",
            services={"run": ["unix:/run/run-1.sock", "unix:/run/run-2.sock"]},
            gateway_grpc=["unix:/run/gateway-1.sock"],
            gateway_http=["unix:/run/gateway-1-http.sock"],
        )
    )


def routes_of(built, listener):
    found = next(x for x in built["static_resources"]["listeners"] if x["name"] == listener)
    manager = found["filter_chains"][0]["filters"][0]["typed_config"]
    return manager["route_config"]["virtual_hosts"][0]["routes"]


def mesh_route(built, method):
    path = f"/podium.run.v1.RunService/{method}"
    return next(r["route"] for r in routes_of(built, "mesh") if r["match"].get("path") == path)


def test_every_method_has_a_route_and_unknown_ones_reach_the_service(built):
    paths = {r["match"].get("path") for r in routes_of(built, "mesh")}
    assert {m.path for m in grpc_services("run")["podium.run.v1.RunService"]} <= paths
    assert routes_of(built, "mesh")[-1]["match"] == {"prefix": "/podium.run.v1.RunService/"}


@pytest.mark.parametrize(("method", "repeated"), [("GetRun", True), ("CreateRun", False)])
def test_only_what_may_run_twice_is_sent_twice(built, method, repeated):
    words = mesh_route(built, method)["retry_policy"]["retry_on"].split(",")
    assert ("reset" in words) is repeated
    assert ("unavailable" in words) is repeated
    assert "connect-failure" in words


def test_a_call_ends_by_its_policy_and_a_stream_does_not(built):
    assert mesh_route(built, "GetRun")["max_stream_duration"]["grpc_timeout_header_max"] == "11.0s"
    assert mesh_route(built, "WatchRun")["max_stream_duration"]["grpc_timeout_header_max"] == "0s"


def test_the_edge_serves_streams_without_a_time_limit(built):
    streams = [
        r["match"]["safe_regex"]["regex"]
        for r in routes_of(built, "edge")
        if "safe_regex" in r["match"] and r["route"]["idle_timeout"] == "0s"
    ]
    assert any(re.fullmatch(pattern, "/v1/runs/run_1/watch") for pattern in streams)
    assert not any(re.fullmatch(pattern, "/v1/runs/run_1/wait") for pattern in streams)


def test_grpc_and_rest_part_ways_at_the_edge(built):
    first, *_, last = routes_of(built, "edge")
    assert first["route"]["cluster"] == routes.GATEWAY_GRPC
    assert first["match"]["headers"][0]["string_match"] == {"prefix": "application/grpc"}
    assert (last["match"], last["route"]["cluster"]) == ({"prefix": "/"}, routes.GATEWAY_HTTP)


def test_a_cluster_has_every_replica_and_room_for_retries(built):
    run = next(c for c in built["static_resources"]["clusters"] if c["name"] == "run")
    assert len(run["load_assignment"]["endpoints"][0]["lb_endpoints"]) == 2
    budget = run["circuit_breakers"]["thresholds"][0]["retry_budget"]
    assert budget["min_retry_concurrency"] == 200


def test_targets_become_addresses():
    assert clusters.address("unix:/a/b.sock")["pipe"]["path"] == "/a/b.sock"
    assert clusters.address("10.0.0.1:80")["socket_address"]["port_value"] == 80


def test_the_edge_tries_again_only_what_may_run_twice(built):
    tried = {}
    for route in routes_of(built, "edge"):
        if "upgrade_configs" in route["route"]:
            continue  # A WebSocket is never opened twice.
        match, policy = route["match"], route["route"]["retry_policy"]
        is_get = any(h["name"] == ":method" for h in match.get("headers", ()))
        tried[match.get("path", match.get("prefix", "")), is_get] = policy["retry_on"]
    assert ",reset" in tried["/podium.run.v1.RunService/GetRun", False].replace("reset-before", "")
    assert "/podium.totp.v1.TotpService/SubmitMessage" not in {path for path, _ in tried}
    assert tried["/", True].endswith(",reset")
    assert not tried["/", False].endswith(",reset")


@pytest.fixture(scope="module")
def secured():
    return config.build(addresses.plan(layout.services()))


def rbac_of(secured):
    (mesh,) = [x for x in secured["static_resources"]["listeners"] if x["name"] == "mesh"]
    manager = mesh["filter_chains"][0]["filters"][0]["typed_config"]
    first = manager["http_filters"][0]
    assert first["name"] == "envoy.filters.http.rbac"
    return first["typed_config"]["rules"]


def test_envoys_matrix_is_that_of_the_contracts(secured):
    allowed = set()
    for policy in rbac_of(secured)["policies"].values():
        for permission in policy["permissions"]:
            for principal in policy["principals"]:
                who = principal["authenticated"]["principal_name"]["exact"]
                allowed.add((permission["url_path"]["path"]["exact"], who))
    assert rbac_of(secured)["action"] == "ALLOW"
    assert allowed == {
        (rpc.path, spiffe.uri(caller)) for rpc in rpcs().values() for caller in rpc.callers
    }


def test_each_cluster_is_held_to_the_name_of_its_part(secured):
    for cluster in secured["static_resources"]["clusters"]:
        if cluster["name"] == routes.ADMIN:
            continue
        context = cluster["transport_socket"]["typed_config"]["common_tls_context"]
        checked = context["combined_validation_context"]["default_validation_context"]
        (name,) = checked["match_typed_subject_alt_names"]
        part = cluster["name"].partition("-")[0]
        assert name["matcher"] == {"exact": spiffe.uri(part)}


def test_on_sockets_of_one_user_nobody_shows_a_certificate(built):
    assert "transport_socket" not in str(built)
    assert "rbac" not in str(built)
