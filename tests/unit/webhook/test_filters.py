"""CEL filters: what they accept, and what is refused as one."""

import pytest

from libs import errors
from services.webhook import filters
from services.webhook.domain import Announcement

DATA = {"state": "failed", "blocks": 3, "failure": {"reason": "LOGIN"}, "tags": ["a", "b"]}
EVENT = Announcement("evt_1", "run.finished", "org_a", "run_1", "wf_1", DATA, "{}")


@pytest.mark.parametrize(
    ("expression", "accepted"),
    [
        ("", True),
        ("  ", True),
        ("data.state == 'failed'", True),
        ("data.state in ['completed', 'cancelled']", False),
        ("data.blocks > 2 && data.failure.reason == 'LOGIN'", True),
        ("data.blocks == 3.0", True),
        ("event.type.startsWith('run.') && event.workflow_id == 'wf_1'", True),
        ("event.run_id == 'run_2'", False),
        ("'b' in data.tags", True),
        ("has(data.nothing)", False),
        ("!has(data.nothing)", True),
        ("data.state.matches('^fail')", True),
        # What cannot be evaluated is not sent, and harms nobody.
        ("data.nothing == 1", False),
        ("data.state > 3", False),
        ("data.failure.reason.size() / 0 == 1", False),
        ("data.state", False),
    ],
)
def test_a_filter_chooses_events(expression: str, accepted: bool) -> None:
    assert filters.accepts(filters.check(expression), EVENT) is accepted


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("data.state ==", "line 1, column 14"),
        ("nothing == 1", "undeclared reference"),
        ("'failed'", "must be true or false, not STRING"),
        ("1 + 1", "must be true or false, not INT"),
        ("data.tags.all(t, t == 'a')", "must not loop"),
        ("[1, 2].map (x, x) == []", "must not loop"),
        ("x" * 1001, "at most 1000"),
        ("(" * 50 + "true" + ")" * 50, "nested too deeply"),
    ],
)
def test_a_filter_that_cannot_work_is_refused(expression: str, why: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        filters.check(expression)
    ((field, said),) = refusal.value.violations
    assert field == "filter"
    assert why in said
