"""Replicas that come and go are found and forgotten by a real Envoy, and no call notices."""

import asyncio
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path
from unittest import mock

import aiohttp
import pytest

from deploy import composition, local
from deploy.discovery.agent import SWEEP_S
from deploy.envoy import admin
from deploy.layout import ROOT, Layout
from libs.registry import BEAT_S, TTL_S
from tests.mesh.conftest import brought_up
from tests.support.eventually import eventually

KNOWN_WITHIN_S = 1.0
FORGOTTEN_WITHIN_S = 3.0
# A machine that others keep busy is late by itself.
BUSY_S = 2.0


@pytest.fixture(scope="module")
def backend():
    """A trace backend that keeps what it is sent: its address, and (media type, body) of each."""
    told = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            length = self.headers["content-length"]
            body = self.rfile.read(int(length)) if length else b"".join(self._chunks())
            told.append((self.headers["content-type"], body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def _chunks(self):
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", told
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def own(tmp_path_factory, backend):
    """Two replicas of workflow, and a rule for its canaries, of which there are none yet."""
    rules = tmp_path_factory.mktemp("rules") / "traffic.yaml"
    rules.write_text("canary: { workflow: { percent: 0 } }")
    home = tmp_path_factory.mktemp("own")
    with (
        mock.patch.dict(os.environ, PODIUM_TRAFFIC=str(rules), PODIUM_OTLP_ENDPOINT=backend[0]),
        brought_up(home, replicas={"workflow": 2}) as running,
    ):
        yield running


def by_hand(mesh, number, **more):
    """A replica that the supervisor knows nothing of, told what its own are told."""
    parts = composition.Composition(Layout(mesh.home), mesh.edge, {"workflow": number})
    spec = next(each for each in parts.replicas() if each.name == f"workflow-{number}")
    told = {**os.environ, **spec.env, "PODIUM_REDIS_URL": mesh.status().redis_url, **more}
    command = [sys.executable, "-m", "services.workflow"]
    with spec.log.open("wb") as log:
        started = subprocess.Popen(command, cwd=ROOT, env=told, stdout=log, stderr=log)
    return started, spec.addresses[0]


def registry(mesh):
    """What the registry says, by the address of each replica."""
    asked = urllib.request.Request(f"{mesh.rest}/v1/mesh", headers={"x-api-key": mesh.api_key})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        told = json.load(answer)
    assert told["registry_answers"]
    return {each["address"]: each for each in told["replicas"]}


def known(mesh):
    return set(admin.endpoints(Path(mesh.status().admin)))


@asynccontextmanager
async def reading(mesh):
    """Reads through the edge all the time; yields what it saw, a status for each read."""
    seen = []

    async def read(session):
        while True:
            async with session.get(f"{mesh.rest}/v1/workflows") as answer:
                seen.append(answer.status)

    async with aiohttp.ClientSession(headers={"x-api-key": mesh.api_key}) as session:
        readers = [asyncio.create_task(read(session)) for _ in range(4)]
        yield seen
        for reader in readers:
            reader.cancel()
        ended = await asyncio.gather(*readers, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


async def test_a_third_replica_gets_calls_and_a_killed_one_is_forgotten(own):
    where = Path(own.status().admin)
    async with reading(own) as seen:
        process, address = by_hand(own, 3)
        try:
            await eventually(lambda: address in registry(own), within=30)
            registered = time.monotonic()
            await eventually(lambda: admin.requests_served(where).get(address), within=10)
            found_s = time.monotonic() - registered
            process.kill()
            killed = time.monotonic()
            process.wait()
            await eventually(lambda: address not in known(own), within=10)
            forgotten_s = time.monotonic() - killed
        finally:
            process.kill()
            process.wait()
        await eventually(lambda: address not in registry(own))
    print(f"served {found_s:.3f} s after it registered, gone {forgotten_s:.3f} s after it died")
    assert found_s < KNOWN_WITHIN_S + BUSY_S
    assert forgotten_s < FORGOTTEN_WITHIN_S + BUSY_S
    assert TTL_S + SWEEP_S < FORGOTTEN_WITHIN_S > 2 * BEAT_S
    assert set(seen) == {200}
    assert len(seen) > 50


async def test_scaling_starts_and_drains_replicas_and_no_read_fails(own):
    where = Path(own.status().admin)
    third = Layout(own.home).target("workflow-3")
    async with reading(own) as seen:
        grown = await asyncio.to_thread(local.scale, own.home, {"workflow": 3})
        assert grown.replicas["workflow"] == 3
        assert registry(own)[third]["health"] == "serving"
        await eventually(lambda: admin.requests_served(where).get(third), within=10)
        shrunk = await asyncio.to_thread(local.scale, own.home, {"workflow": 2})
        assert not [each for each in shrunk.processes if each.name == "workflow-3"]
        await eventually(lambda: third not in known(own))
    assert set(seen) == {200}
    assert own.process("workflow-1").restarts == 0


async def test_who_asks_for_a_canary_gets_one_while_there_is_one(own):
    where = Path(own.status().admin)

    async def read(times, **headers):
        auth = {"x-api-key": own.api_key, **headers}
        async with aiohttp.ClientSession(headers=auth) as session:
            for _ in range(times):
                async with session.get(f"{own.rest}/v1/workflows") as answer:
                    assert answer.status == 200

    asking = {"x-podium-canary": "1"}
    await read(3, **asking)
    process, address = by_hand(own, 4, PODIUM_STAGE="canary", PODIUM_VERSION="next")
    try:
        await eventually(lambda: admin.endpoints(where).get(address), within=30)
        found = registry(own)[address]
        assert (found["stage"], found["version"]) == ("canary", "next")
        before = admin.requests_served(where)[address]
        await read(10)
        assert admin.requests_served(where)[address] == before
        await read(10, **asking)
        assert admin.requests_served(where)[address] == before + 10
    finally:
        process.terminate()
        process.wait()
    await eventually(lambda: address not in known(own))
    await read(3, **asking)


def test_envoy_gives_the_figures_that_alerts_and_dashboard_ask_for(own):
    folder = ROOT / "deploy" / "compose"
    asked = (folder / "prometheus" / "alerts.yml").read_text()
    asked += (folder / "grafana" / "dashboards" / "podium.json").read_text()
    _, told = admin.get(Path(own.status().admin), "/stats/prometheus")
    names = set(re.findall(r"^# TYPE (\w+) ", told, re.MULTILINE))
    wanted = {name for name in re.findall(r"\benvoy_\w+", asked) if name != "envoy_cluster_name"}
    assert wanted
    assert wanted <= names


async def test_a_trace_goes_through_envoy_to_the_backend(own, backend):
    trace_id = "5bd66ef5095369c7b0d1f8f4bd33716a"
    asked = urllib.request.Request(
        f"{own.rest}/v1/workflows",
        headers={"x-api-key": own.api_key, "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"},
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.status == 200

    def services():
        ours = [json.loads(body) for kind, body in backend[1] if kind == "application/json"]
        found = {
            each["value"]["stringValue"]
            for told in ours
            for resource in told["resourceSpans"]
            if trace_id in json.dumps(resource["scopeSpans"])
            for each in resource["resource"]["attributes"]
            if each["key"] == "service.name"
        }
        by_envoy = [body for kind, body in backend[1] if kind == "application/x-protobuf"]
        return found | {"envoy" for body in by_envoy if bytes.fromhex(trace_id) in body}

    await eventually(lambda: services() >= {"gateway", "workflow", "envoy"}, within=15)


async def test_whichever_replica_is_called_the_owner_of_the_session_does_the_work(own):
    where = Path(own.status().admin)
    await asyncio.to_thread(local.scale, own.home, {"browser_session": 2})
    addresses = [Layout(own.home).target(f"browser_session-{n}") for n in (1, 2)]
    async with aiohttp.ClientSession(headers={"x-api-key": own.api_key}) as session:
        async with session.post(f"{own.rest}/v1/browser_sessions", json={}) as answer:
            assert answer.status == 201
            session_id = (await answer.json())["session"]["browser_session_id"]
        path = f"{own.rest}/v1/browser_sessions/{session_id}"
        before = admin.requests_served(where)
        for _ in range(20):
            async with session.post(f"{path}:evaluate", json={"expression": "6 * 7"}) as answer:
                assert (await answer.json())["value"] == 42
        after = admin.requests_served(where)
        assert all(after[address] > before[address] for address in addresses)
        async with session.post(f"{path}:close") as answer:
            assert answer.status == 200


async def test_without_its_registry_the_mesh_goes_on(own):
    valkey = own.process("valkey")
    before = known(own)
    async with reading(own) as seen:
        os.kill(valkey.pid, 9)
        await eventually(lambda: own.process("valkey").state == "healthy", within=20)
        back = len(seen)
        await eventually(lambda: len(seen) > back + 100, within=20)
        found = Layout(own.home).log("discovery").read_text()
        assert "the endpoints stay as they are" in found
    assert known(own) == before
    assert set(seen) == {200}
