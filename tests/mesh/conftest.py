"""One mesh for all tests that only use it; those that hurt theirs bring up their own."""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from deploy import local, processes


@dataclass(frozen=True)
class RunningMesh:
    """Where a mesh is and how to get in."""

    home: Path
    edge: str  # host:port, for gRPC
    rest: str  # http://host:port
    api_key: str
    # Where the mesh reaches what a test serves, and what the command needs to find the edge.
    outside: str = "127.0.0.1"
    address: str = ""

    def status(self) -> local.MeshStatus:
        """The mesh as it is now; fails when it is not running."""
        found = local.status(self.home)
        assert found is not None, f"the mesh in {self.home} is gone"
        return found

    def browsers(self) -> list[int]:
        """Processes of every Chromium of the mesh."""
        owners = [p for p in self.status().processes if p.name.startswith("browser_session")]
        return [pid for owner in owners for pid in processes.descendants(owner.pid)]

    def process(self, name: str) -> local.Process:
        """One of its processes, such as "run-1"."""
        return next(each for each in self.status().processes if each.name == name)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextlib.contextmanager
def brought_up(home: Path, **options) -> Iterator[RunningMesh]:
    """A mesh of its own in `home`, gone at the end."""
    # Every browser of these meshes is in use by somebody, so that one left over is seen.
    with mock.patch.dict(os.environ, PODIUM_BROWSER_WARM="0"):
        started = local.up(home, edge_port=free_port(), detach=True, **options)
    try:
        yield RunningMesh(
            home=home,
            edge=started.edge,
            rest=f"http://{started.edge}",
            api_key=started.api_key_file.read_text().strip(),
        )
    finally:
        local.down(home)


@pytest.fixture(scope="session")
def mesh(tmp_path_factory) -> Iterator[RunningMesh]:
    """The shared mesh: do not stop or kill anything of it."""
    with brought_up(tmp_path_factory.mktemp("mesh")) as running:
        yield running
