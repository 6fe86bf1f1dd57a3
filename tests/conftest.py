"""Fixtures that every level of tests shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.valkey import valkey

# How fast a busy machine is says nothing about the code.
settings.register_profile("podium", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("podium")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One Valkey for the test session."""
    with valkey() as url:
        yield url
