"""docker-compose.yml and what prepares its mesh agree with the tree and with each other."""

import json
import re
import stat

import pytest
import yaml
from prometheus_client import REGISTRY

from deploy import layout
from deploy.compose import addresses, certificates, secrets
from deploy.discovery import __main__ as discovery
from deploy.envoy import config, traffic
from libs import metrics
from libs.rpc import identity
from libs.settings import Settings, load

COMPOSE = yaml.safe_load((layout.ROOT / "docker-compose.yml").read_text())
CONTAINERS = COMPOSE["services"]
PARTS = [*layout.services(), "gateway"]


def test_every_service_of_the_tree_has_its_container_and_no_other():
    commands = {
        container["command"][0].removeprefix("services.")
        for container in CONTAINERS.values()
        if container.get("healthcheck", {}).get("test", [""])[-1] == str(addresses.GRPC_PORT)
    }
    assert commands == set(PARTS)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_can_do_nothing_it_need_not_do(name):
    container = CONTAINERS[name]
    assert container["read_only"]
    assert container["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in container["security_opt"]
    assert "privileged" not in container
    is_root = container.get("user", "0:0") == "0:0"
    # They become another user by themselves, but for the one that hands out the secrets.
    assert not is_root or name in ("postgres", "redis", "prepare", "certs")


@pytest.mark.parametrize("name", PARTS)
def test_a_part_has_limits_a_health_check_an_end_and_its_own_secrets_alone(name):
    container = CONTAINERS[name.replace("_", "-")]
    assert container["deploy"]["replicas"] == 2
    assert set(container["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert container["healthcheck"]["test"][:2] == ["CMD", "python"]
    assert container["stop_grace_period"] == "20s"
    mounted = [volume for volume in container["volumes"] if "secrets" in volume]
    assert mounted == [f"{name.replace('_', '-')}-secrets:/secrets:ro"]


def test_nothing_secret_is_in_the_file():
    for container in CONTAINERS.values():
        named = [key for key in container.get("environment", ()) if "LLM" not in key]
        assert not [key for key in named if re.search("PASSWORD$|TOKEN|VAULT|_KEY", key)]


def test_the_edge_is_open_to_this_machine_alone():
    opened = [port for container in CONTAINERS.values() for port in container.get("ports", ())]
    assert [port for port in opened if "127.0.0.1" not in port] == []


def test_each_part_gets_what_it_may_know(tmp_path):
    secrets.prepare(tmp_path, 0, layout.services())
    told = {
        name: {file.name: file.read_text() for file in (tmp_path / name).iterdir()}
        for name in PARTS
    }
    for name, files in told.items():
        public = files["podium_token_public_key"]
        assert identity.caller_of(files["podium_service_token"], public) == name
        assert f"//{name}:" in files["podium_database_url"]
        assert ("podium_first_api_key" in files) == (name == "gateway")
    for kind in ("podium_vault_keys", "podium_database_url"):
        assert len({files[kind] for files in told.values()}) == len(PARTS)
    key = (tmp_path / "client" / "api-key").read_text()
    assert told["gateway"]["podium_first_api_key"] == key
    for name in [*PARTS, "client", "root"]:
        modes = {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / name).iterdir()}
        assert modes == {0o400}


def test_each_part_has_its_own_certificate_where_envoy_and_the_settings_look(tmp_path):
    made = certificates.issuer(tmp_path, 10001)
    assert set(made.issue_due()) == {*PARTS, "envoy"}
    assert {entry.spiffe_id for entry in made.entries()} >= {"spiffe://podium/run"}
    assert not [folder for folder in made.folders.values() if not (folder / "tls.key").exists()]
    assert made.owners["envoy"] == int(CONTAINERS["envoy"]["user"].split(":")[0])
    assert made.owners["run"] == int(CONTAINERS["run"]["user"].split(":")[0])
    # In each container the folder of the part alone is mounted.
    assert made.folders["run"] == tmp_path / "run" / "tls"
    assert CONTAINERS["run"]["environment"]["PODIUM_TLS_DIR"] == "/secrets/tls"
    assert addresses.TLS.folder == "/secrets/tls"
    assert "envoy-secrets:/secrets:ro" in CONTAINERS["envoy"]["volumes"]


@pytest.mark.parametrize("name", ["prepare", "certs"])
def test_whoever_makes_certificates_reaches_every_folder(name):
    mounted = dict(volume.split(":")[:2][::-1] for volume in CONTAINERS[name]["volumes"])
    for part in [*PARTS, "envoy"]:
        assert mounted[f"/secrets/{part}"] == f"{part.replace('_', '-')}-secrets"
    assert "/secrets/root" in mounted


def test_nobody_else_sees_the_authority():
    for name, container in CONTAINERS.items():
        sees = any(volume.startswith("root-secrets") for volume in container.get("volumes", ()))
        assert sees == (name in ("prepare", "certs"))


def test_what_was_made_is_kept(tmp_path):
    assert secrets.prepare(tmp_path, 0, layout.services())
    assert secrets.prepare(tmp_path, 0, layout.services()) == []
    assert secrets.prepare(tmp_path, 0, layout.services(), "sk-a") == ["task"]


def test_a_file_stands_for_a_variable(tmp_path, monkeypatch):
    (tmp_path / "podium_redis_url").write_text("redis://:secret@redis:6379/0")
    monkeypatch.setenv("PODIUM_SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv("PODIUM_REDIS_URL", raising=False)
    assert load(Settings).redis_url == "redis://:secret@redis:6379/0"


def test_envoy_finds_the_replicas_by_their_names():
    built = config.build(addresses.plan(layout.services()))
    clusters = {each["name"]: each for each in built["static_resources"]["clusters"]}
    assert clusters["browser_session"]["cluster_type"]["name"] == "envoy.clusters.dns"
    assert '"browser-session"' in json.dumps(clusters["browser_session"])
    assert clusters["admin"]["type"] == "STATIC"


def test_of_envoys_admin_only_figures_are_seen_from_outside():
    built = config.build(addresses.plan(layout.services()))
    assert built["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    listeners = {each["name"]: each for each in built["static_resources"]["listeners"]}
    manager = listeners["metrics"]["filter_chains"][0]["filters"][0]["typed_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    assert {route["match"]["path"] for route in host["routes"]} == {"/metrics", "/ready"}


def test_the_dashboard_shows_figures_that_exist():
    path = layout.ROOT / "deploy" / "compose" / "grafana" / "dashboards" / "podium.json"
    shown = set(re.findall(r"podium_\w+", json.dumps(json.loads(path.read_text())["panels"])))
    told = {
        sample.name if family.type != "histogram" else family.name
        for family in REGISTRY.collect()
        for sample in (*family.samples, family)
    } | {f"{family.name}_total" for family in REGISTRY.collect() if family.type == "counter"}
    assert shown, metrics
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in shown} <= told, shown - told


def test_by_the_registry_envoy_asks_files_that_are_there_before_it(tmp_path, monkeypatch):
    rules = traffic.load().model_copy(update={"discovery": traffic.REGISTRY})
    plan = addresses.plan(layout.services(), rules=rules)
    built = config.build(plan)
    named = {
        each["eds_cluster_config"]["eds_config"]["path_config_source"]["path"]
        for each in built["static_resources"]["clusters"]
        if each.get("type") == "EDS"
    }
    discovery.prepare(tmp_path)
    made = {f"{addresses.ENDPOINTS}/{file.name}" for file in tmp_path.iterdir()}
    assert named == made
    volumes = [CONTAINERS[name]["volumes"] for name in ("prepare", "envoy", "discovery")]
    assert all(any(":/endpoints" in volume for volume in each) for each in volumes)
