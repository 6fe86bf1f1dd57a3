"""Seeds of the simulation for as long as there is time; a failing seed is named.

`python -m tests.chaos.simulation FIRST LAST` goes through others.
"""

import logging
import time

import pytest

from tests.chaos.simulation import universe, virtual

TIME_BOX_S = 15.0
# Seeds that once found a bug (tests/chaos/README.md); they come first.
KNOWN = (135,)


@pytest.mark.chaos
def test_no_crash_at_any_await_breaks_a_saga(monkeypatch):
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    end, lived, broken = time.monotonic() + TIME_BOX_S, 0, {}
    for seed in (*KNOWN, *range(1_000)):
        if found := virtual.run(universe.lived(seed)):
            broken[seed] = found
        lived += 1
        if time.monotonic() > end:
            break
    assert not broken, f"of {lived} seeds: {broken}"
