"""These tests need a mesh in containers, so `make test` leaves them out."""

import asyncio
import os

import pytest

from tests.compose import containers

collect_ignore_glob = [] if os.environ.get("PODIUM_COMPOSE") else ["test_*.py"]


@pytest.fixture(scope="session")
def mesh(tmp_path_factory) -> containers.RunningContainers:
    """The mesh that is up."""
    return asyncio.run(containers.running(tmp_path_factory.mktemp("compose")))
