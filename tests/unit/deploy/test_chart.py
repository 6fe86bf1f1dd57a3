"""What the chart takes from the contracts is what they say, and it renders to what they mean."""

import json
import re
import shutil

import pytest
import yaml

from deploy import layout
from deploy.certs.issuer import Issuer
from deploy.compose import addresses
from deploy.envoy import config, traffic
from deploy.kubernetes import generated, rendering, secrets
from libs.rpc import policy, spiffe
from services.browser_session import cdp_gateway


def test_the_generated_files_are_fresh():
    assert generated.stale() == [], "run `make gen`"


def test_who_calls_whom_is_what_the_contracts_say():
    parts = yaml.safe_load((generated.FILES / "parts.yaml").read_text())
    assert set(parts) == {name.replace("_", "-") for name in [*layout.services(), "gateway"]}
    for rpc in policy.rpcs().values():
        part = parts[rpc.service.replace("_", "-")]
        assert rpc.callers <= set(part["calledBy"])
        for caller in rpc.callers:
            assert rpc.service in parts[caller.replace("_", "-")]["calls"]


@pytest.fixture(scope="module")
def documents():
    pytest.importorskip("helm_python")
    return rendering.render({})


def of_kind(documents, kind):
    return {d["metadata"]["name"]: d for d in documents if d["kind"] == kind}


def test_every_part_has_what_keeps_it_running(documents):
    for name in [*layout.services(), "gateway"]:
        called = f"podium-{name.replace('_', '-')}"
        (container,) = of_kind(documents, "Deployment")[called]["spec"]["template"]["spec"][
            "containers"
        ]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["exec"]["command"][-2:] == ["/tls", "50051"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert called in of_kind(documents, "PodDisruptionBudget")
        assert called in of_kind(documents, "NetworkPolicy")
        assert of_kind(documents, "Service")[called]["spec"]["clusterIP"] == "None"


def test_a_part_that_calls_nobody_does_not_reach_the_mesh(documents):
    parts = yaml.safe_load((generated.FILES / "parts.yaml").read_text())
    policies = of_kind(documents, "NetworkPolicy")
    for name, facts in parts.items():
        ports = [
            port["port"]
            for rule in policies[f"podium-{name}"]["spec"]["egress"]
            for port in rule.get("ports", ())
        ]
        assert (10000 in ports) == bool(facts["calls"]), name


def test_who_reaches_a_browser_is_whom_its_door_lets_in(documents):
    assert set(generated.DRIVERS) == set(cdp_gateway.DRIVERS)
    policies = of_kind(documents, "NetworkPolicy")
    for name in generated.DRIVERS:
        egress = policies[f"podium-{name.replace('_', '-')}"]["spec"]["egress"]
        assert 9222 in [port["port"] for rule in egress for port in rule.get("ports", ())], name


def test_envoy_looks_for_the_releases_own_names(documents):
    text = of_kind(documents, "ConfigMap")["podium-envoy"]["data"]["envoy.json"]
    assert '"podium-run"' in text
    assert not re.search(generated.PREFIX, text)


def test_where_the_registry_says_who_lives_the_agent_stands_beside_envoy(tmp_path, monkeypatch):
    pytest.importorskip("helm_python")
    rules = traffic.load().model_copy(update={"discovery": traffic.REGISTRY})
    shutil.copytree(generated.chart(), tmp_path / "chart")
    monkeypatch.setattr(generated, "FILES", tmp_path / "chart" / "files")
    built = config.build(addresses.plan(layout.services(), generated.PREFIX, generated.TLS, rules))
    (generated.FILES / "envoy.json").write_text(json.dumps(built))
    found = rendering.render({})
    assert rendering.complaints(found) == []
    pod = of_kind(found, "Deployment")["podium-envoy"]["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["containers"]] == ["discovery", "envoy"]
    assert pod["initContainers"][0]["args"] == ["deploy.discovery", "prepare"]
    assert {"name": "endpoints", "emptyDir": {}} in pod["volumes"]


def test_usually_names_are_resolved_and_no_agent_is_needed(documents):
    pod = of_kind(documents, "Deployment")["podium-envoy"]["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["containers"]] == ["envoy"]


def test_every_part_and_envoy_have_a_certificate_of_their_own(documents, tmp_path):
    made = Issuer.of(tmp_path)
    made.issue_due()
    given = {each["metadata"]["name"]: each for each in secrets.certificates(tmp_path)}
    assert set(given["podium-run-tls"]["stringData"]) == {"tls.crt", "tls.key", "ca.crt"}
    asked = of_kind(rendering.render({"tls": {"certManager": {"enabled": True}}}), "Certificate")
    for name in [*layout.services(), "gateway", "envoy"]:
        called = f"podium-{name.replace('_', '-')}"
        pod = of_kind(documents, "Deployment")[called]["spec"]["template"]["spec"]
        (volume,) = [each for each in pod["volumes"] if each["name"] == "tls"]
        assert volume["secret"]["secretName"] in given
        wanted = asked[called]["spec"]
        assert wanted["secretName"] == volume["secret"]["secretName"]
        assert wanted["uris"] == [spiffe.uri(name)]
        assert wanted["dnsNames"][0] == spiffe.dns_name(name)


def test_envoy_asks_for_certificates_everywhere_between_the_parts(documents):
    data = of_kind(documents, "ConfigMap")["podium-envoy"]["data"]
    built = json.loads(data["envoy.json"])["static_resources"]
    plain = [each["name"] for each in built["clusters"] if "transport_socket" not in each]
    assert plain == ["admin"]
    (mesh,) = [each for each in built["listeners"] if each["name"] == "mesh"]
    (chain,) = mesh["filter_chains"]
    assert chain["transport_socket"]["typed_config"]["require_client_certificate"]
    assert '"/tls/tls.key"' in data["identity.json"]
