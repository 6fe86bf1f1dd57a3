"""Some crash points of each kind; `make chaos` goes through all of them."""

import pytest

from tests.chaos.sweep import Case, swept

SOME = [
    Case("run", "before", 1, "linear"),
    Case("run", "after", 2, "saga-c"),
    Case("run", "before", 4, "saga-c"),
    Case("workflow", "before", 3, "linear"),
    Case("workflow", "after", 2, "saga-c"),
]


@pytest.mark.long
@pytest.mark.chaos
@pytest.mark.timeout(240)
async def test_a_crash_at_a_commit_loses_nothing(tmp_path):
    reached, violations = await swept(tmp_path, SOME)
    assert not violations, "\n".join(violations)
    assert reached == SOME, "the runs make fewer commits than they did"
