"""A short campaign on real processes, always the same faults; `make chaos` for longer ones."""

import pytest

from tests.chaos import campaign
from tests.chaos.campaign import Plan

SHORT = Plan(seed=7, seconds=18.0, pages=False, every_s=(2.5, 4.0))


@pytest.mark.chaos
@pytest.mark.timeout(240)
async def test_nothing_accepted_is_lost_whatever_is_killed(tmp_path, capsys):
    result = await campaign.carried_out(SHORT, tmp_path)
    with capsys.disabled():
        print(f"\n{campaign.announce(SHORT)}\n{result.report()}")
    assert not result.problems, "\n".join(result.problems)
