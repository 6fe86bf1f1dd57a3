"""Fixtures that every level of tests shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.valkey import valkey


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One Valkey for the test session."""
    with valkey() as url:
        yield url
