"""Seeds of the simulation for as long as there is time; a failing seed is named.

`python -m tests.chaos.simulation FIRST LAST` goes through others.
"""

import logging
import time
from collections.abc import Iterator

import pytest

from tests.chaos.simulation import universe, virtual

TIME_BOX_S = 5.0
# Seeds that once found a bug (tests/chaos/README.md); they come first.
KNOWN = (135,)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Without logs. Not by monkeypatching: only `disable` clears what loggers remember of it."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.chaos
def test_no_crash_at_any_await_breaks_a_saga(quiet):
    end, lived, broken = time.monotonic() + TIME_BOX_S, 0, {}
    for seed in (*KNOWN, *range(1_000)):
        if found := virtual.run(universe.lived(seed)):
            broken[seed] = found
        lived += 1
        if time.monotonic() > end:
            break
    assert not broken, f"of {lived} seeds: {broken}"
