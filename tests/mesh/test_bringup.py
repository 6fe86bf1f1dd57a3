"""The mesh comes up fast and small, mends itself, and leaves nothing behind."""

import os
import pty
import signal
import sys
import urllib.request
from pathlib import Path

import grpc
import pytest

from deploy import keys, local, processes
from deploy.envoy import admin
from deploy.layout import Layout
from libs.rpc import client
from podium.workflow.v1 import workflow_pb2, workflow_pb2_grpc
from tests.mesh.conftest import brought_up, free_port
from tests.support.eventually import eventually

HEALTHY_WITHIN_S = 8
MOST_MEMORY_MB = 800
# Above this many waiting processes for each core, wall time says nothing about the mesh.
MOST_LOAD = 1.5


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A mesh that may be hurt, as long as it mends itself; two replicas of workflow."""
    with brought_up(tmp_path_factory.mktemp("own"), replicas={"workflow": 2}) as running:
        yield running


def identities(mesh):
    """The pid and start time of everything that belongs to a mesh."""
    return {pid: processes.start_time(pid) for pid in mesh.status().all_pids()}


def living(members):
    return [pid for pid, born in members.items() if processes.is_running(pid, born)]


def test_every_part_is_healthy(own):
    status = own.status()
    assert status.healthy
    assert {each.state for each in status.processes} == {"healthy"}
    assert own.api_key


def test_it_takes_less_than_eight_seconds(own):
    waiting_for_a_core = os.getloadavg()[0]
    took_s = own.status().started_in_s
    if took_s >= HEALTHY_WITHIN_S and waiting_for_a_core > MOST_LOAD * (os.cpu_count() or 1):
        pytest.skip(f"{took_s} s, but others keep the cores busy (load {waiting_for_a_core:.1f})")
    assert took_s < HEALTHY_WITHIN_S


def test_a_second_up_finds_the_first(own):
    again = local.up(own.home, edge_port=free_port())
    assert again.already_running
    assert again.supervisor_pid == own.status().supervisor_pid
    assert again.edge == own.edge


def test_the_idle_mesh_is_small(own):
    assert own.status().memory_mb() < MOST_MEMORY_MB


def test_nothing_listens_but_the_edge_and_loopback(own):
    inodes = {_socket_inode(link) for pid in own.status().all_pids() for link in _files(pid)}
    tables = (Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()).splitlines()
    rows = [line.split() for line in tables if "local_address" not in line]
    listening = [row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes]
    assert listening
    assert set(listening) == {"0100007F"}, "127.0.0.1 as the kernel writes it"


def _files(pid):
    try:
        return [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []  # It ended meanwhile.


def _socket_inode(link):
    return link.removeprefix("socket:[").rstrip("]") if link.startswith("socket:") else ""


async def test_both_replicas_get_calls(own):
    status = own.status()
    assert status.replicas["workflow"] == 2
    before = admin.requests_served(Path(status.admin))
    token = keys.keys_of(Layout(own.home)).token("gateway")
    async with client.channel(status.mesh_target) as channel:
        stub = client.stub(workflow_pb2_grpc.WorkflowServiceStub, channel, token)
        for _ in range(40):
            await stub.ListBlockKinds(workflow_pb2.ListBlockKindsRequest())
    after = admin.requests_served(Path(status.admin))
    for name in ("workflow-1", "workflow-2"):
        target = Layout(own.home).target(name)
        assert after[target] - before[target] >= 5, f"{name} was left out"


async def test_the_edge_speaks_grpc_and_rest(own):
    async with grpc.aio.insecure_channel(own.edge) as channel:
        await channel.channel_ready()
    with urllib.request.urlopen(f"{own.rest}/healthz", timeout=5) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("name", ["run-1", "workflow-2", "gateway-1", "envoy", "valkey"])
async def test_what_is_killed_comes_back(own, name):
    before = own.process(name)
    os.kill(before.pid, signal.SIGKILL)
    await eventually(lambda: own.process(name).pid not in (0, before.pid), within=5)
    await eventually(lambda: own.status().healthy, within=10)
    assert own.process(name).restarts == before.restarts + 1


async def test_down_leaves_nothing(tmp_path):
    with brought_up(tmp_path) as mesh:
        members = identities(mesh)
        assert local.down(tmp_path) is True
        assert not living(members)
        assert local.status(tmp_path) is None
        assert not list(Layout(tmp_path).sockets.iterdir())


async def test_nothing_survives_a_killed_supervisor(tmp_path):
    with brought_up(tmp_path) as mesh:
        members = identities(mesh)
        os.kill(mesh.status().supervisor_pid, signal.SIGKILL)
        await eventually(lambda: not living(members), within=5)
        assert local.status(tmp_path) is None
        # What it left on disk is in nobody's way.
        local.up(tmp_path, edge_port=free_port(), detach=True)


async def test_a_mesh_ends_with_its_terminal(tmp_path):
    child, terminal = pty.fork()
    if child == 0:
        up = f"local.up(Path({str(tmp_path)!r}), edge_port={free_port()})"
        program = f"from pathlib import Path; from deploy import local; {up}; input()"
        os.execv(sys.executable, [sys.executable, "-c", program])
    await eventually(lambda: local.status(tmp_path), within=30)
    status = local.status(tmp_path)
    assert status is not None
    members = {pid: processes.start_time(pid) for pid in status.all_pids()}
    assert len(members) > len(status.processes)
    os.close(terminal)
    await eventually(lambda: not living(members), within=15)
    os.waitpid(child, 0)
