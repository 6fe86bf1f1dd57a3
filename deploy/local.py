"""The mesh on one machine, seen from outside: bring it up, look at it, take it down.

This is the API that the `podium` command and the tests use; the process that holds the mesh
together is `deploy.supervisor`, which `up` starts and which outlives it.

    from deploy import local
    mesh = local.up(home, edge_port=8080, replicas={"task": 2})   # returns when healthy
    mesh.edge, mesh.mesh_target, mesh.api_key_file                # how to reach it
    local.status(home)                                            # None when it is not running
    local.down(home)                                              # True when something was stopped

Every failure that a person can do something about is a `MeshProblem` whose text says what.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy import binaries, layout, processes, state
from deploy.alarms import LOOK_SIGNAL
from deploy.envoy import admin
from deploy.layout import Layout

DEFAULT_EDGE_PORT = 8080
MOST_REPLICAS = 16
END_WITHIN_S = 20.0
SCALED_WITHIN_S = 30.0
LOOK_EVERY_S = 0.05


class MeshProblem(Exception):
    """The mesh could not do what was asked; the text is meant for the person who asked."""


@dataclass(frozen=True)
class Process:
    """One child of the supervisor, as it is now."""

    name: str  # "run-1", "gateway-1", "envoy", "valkey"
    pid: int
    state: str  # "starting", "healthy", "unhealthy", "restarting"
    restarts: int
    addresses: list[str]  # gRPC targets it listens on; empty when it has none
    log: Path


@dataclass(frozen=True)
class MeshStatus:
    """The running mesh, as the supervisor's state file, the kernel and Envoy tell it."""

    home: Path
    supervisor_pid: int
    healthy: bool
    edge: str  # "127.0.0.1:8080": REST at http://…, gRPC at the same address
    mesh_target: str  # gRPC target of Envoy's mesh listener
    admin: str  # unix socket path of Envoy's admin interface
    redis_url: str
    replicas: dict[str, int]
    detached: bool  # True: outlives the terminal it was started from
    started_in_s: float  # from `up` to healthy
    api_key_file: Path  # holds the first API key; 0600
    first_start: bool  # True: this start made the API key, so print it once
    processes: list[Process] = field(default_factory=list)
    tls: bool = False  # the parts speak TCP with mutual TLS, not unix sockets
    already_running: bool = False  # set by `up` when there was nothing to start

    def all_pids(self) -> list[int]:
        """Every process of the mesh: the supervisor, its children, and theirs (browsers)."""
        return [self.supervisor_pid, *processes.descendants(self.supervisor_pid)]

    def memory_mb(self) -> float:
        """Memory of the whole mesh; shared pages count once."""
        return processes.pss_mb(self.all_pids())


def up(
    home: Path,
    edge_port: int = DEFAULT_EDGE_PORT,
    replicas: Mapping[str, int] | None = None,
    detach: bool = False,
    on_progress: Callable[[str], None] | None = None,
    tls: bool = False,
) -> MeshStatus:
    """Start the mesh in `home` and return when every part is healthy; a running one is returned."""
    home = home.resolve()
    if running := status(home):
        return replace(running, already_running=True, first_start=False)
    _check(edge_port, replicas or {})
    Layout(home).create()
    reader, writer = os.pipe()
    order = {
        "home": str(home),
        "edge": f"127.0.0.1:{edge_port}",
        "replicas": dict(replicas or {}),
        "detached": detach,
        "tls": tls,
        "announce": writer,
    }
    supervisor = _start_supervisor(Layout(home), order, detach, writer)
    os.close(writer)
    try:
        _await_health(reader, on_progress or (lambda _: None))
    except BaseException:
        supervisor.terminate()
        supervisor.wait()
        raise
    finally:
        os.close(reader)
    running = status(home)
    if running is None:
        raise MeshProblem(f"the mesh ended as soon as it was up; see {Layout(home).logs}")
    return running


def down(home: Path) -> bool:
    """Stop the mesh of `home` and wait for the last process; False when none was running."""
    running = state.read(Layout(home.resolve()))
    if running is None:
        return False
    members = {pid: processes.start_time(pid) for pid in processes.descendants(running.pid)}
    os.kill(running.pid, signal.SIGTERM)
    if not processes.wait_for_end(running.pid, END_WITHIN_S):
        os.kill(running.pid, signal.SIGKILL)
    # The kernel kills the children of a supervisor that had to be killed, a moment later.
    for pid, started in members.items():
        if processes.is_running(pid, started) and not processes.wait_for_end(pid, 5.0):
            raise MeshProblem(f"process {pid} of the mesh does not end")
    return True


def scale(home: Path, wanted: Mapping[str, int], within_s: float = SCALED_WITHIN_S) -> MeshStatus:
    """Have so many replicas of these services, and return when it is so."""
    _check_replicas(wanted)
    where = Layout(home.resolve())
    running = state.read(where)
    if running is None:
        raise MeshProblem(f"the mesh of {where.home} is not up")
    scratch = where.scale_file.with_suffix(".tmp")
    scratch.write_text(json.dumps(dict(wanted)))
    scratch.replace(where.scale_file)
    os.kill(running.pid, LOOK_SIGNAL)
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        now = status(where.home)
        if now is None:
            raise MeshProblem("the mesh ended meanwhile")
        if now.healthy and all(now.replicas[name] == count for name, count in wanted.items()):
            return now
        time.sleep(LOOK_EVERY_S)
    raise MeshProblem(f"not every replica is healthy after {within_s:.0f} s; see `podium status`")


def status(home: Path) -> MeshStatus | None:
    """The mesh of `home` as it is now, or None when it is not running."""
    home = home.resolve()
    found = state.read(Layout(home))
    if found is None:
        return None
    called = admin.endpoints(Path(found.admin))
    members = [_process(child, called) for child in found.children]
    return MeshStatus(
        home=home,
        supervisor_pid=found.pid,
        healthy=bool(called) and all(process.state == "healthy" for process in members),
        edge=found.edge,
        mesh_target=found.mesh_target,
        admin=found.admin,
        redis_url=found.redis_url,
        replicas=found.replicas,
        detached=found.detached,
        started_in_s=found.started_in_s,
        api_key_file=Layout(home).secrets / "api-key",
        first_start=found.first_start,
        processes=members,
        tls=found.tls,
    )


def parse_replicas(text: str) -> dict[str, int]:
    """`"task=2,workflow=2"` as a mapping; MeshProblem names what is wrong with it."""
    replicas: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, count = part.partition("=")
        if not count.isdigit():
            raise MeshProblem(f'replicas are written like "task=2,workflow=2", not "{part}"')
        replicas[name.strip()] = int(count)
    _check_replicas(replicas)
    return replicas


def _check(edge_port: int, replicas: Mapping[str, int]) -> None:
    """Everything that would fail later, said before anything is started."""
    if sys.platform != "linux":
        raise MeshProblem("the local mesh needs Linux (parent-death signals, /proc)")
    _check_replicas(replicas)
    try:
        binaries.envoy()
        if not os.environ.get("PODIUM_REDIS_URL"):
            binaries.valkey()
        binaries.chromium()
    except binaries.MissingProgram as missing:
        raise MeshProblem(str(missing)) from None
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", edge_port))
        except (OSError, OverflowError) as why:
            raise MeshProblem(
                f"port {edge_port} cannot be used ({why}); choose another: "
                "`make up EDGE_PORT=8081` or `podium up --edge-port 8081`"
            ) from None


def _check_replicas(replicas: Mapping[str, int]) -> None:
    known = [*layout.services(), "gateway"]
    for name, count in replicas.items():
        if name not in known:
            raise MeshProblem(f'there is no service "{name}"; there are {", ".join(known)}')
        if not 1 <= count <= MOST_REPLICAS:
            raise MeshProblem(f"{name}: from 1 to {MOST_REPLICAS} replicas, not {count}")


def _start_supervisor(
    where: Layout, order: dict, detach: bool, writer: int
) -> subprocess.Popen[bytes]:
    """Its own process group keeps the terminal's Ctrl-C away; its own session, the hangup too."""
    # gRPC reads it once, when imported: its fork handlers would stop a replica's calls for each
    # browser that it starts, and the supervisor forks before it has any use for gRPC.
    environment = os.environ | {"GRPC_ENABLE_FORK_SUPPORT": "false"}
    with where.log("supervisor").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy", json.dumps(order)],
            cwd=layout.ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writer],
            start_new_session=detach,
            process_group=None if detach else 0,
        )


def _await_health(reader: int, on_progress: Callable[[str], None]) -> None:
    """Follow what the supervisor announces until the mesh is healthy or has failed."""
    with os.fdopen(os.dup(reader)) as lines:
        for line in lines:
            message = json.loads(line)
            if "problem" in message:
                raise MeshProblem(message["problem"])
            if "healthy" in message:
                return
            on_progress(message["progress"])
    raise MeshProblem("the supervisor ended while the mesh came up; see supervisor.log in logs/")


def _process(child: state.ChildState, called: Mapping[str, bool]) -> Process:
    """The supervisor knows of deaths, Envoy of those who live but do not answer."""
    word = child.state
    if word == "healthy" and not all(called.get(address, True) for address in child.addresses):
        word = "unhealthy"
    return Process(
        name=child.name,
        pid=child.pid,
        state=word,
        restarts=child.restarts,
        addresses=child.addresses,
        log=Path(child.log),
    )
