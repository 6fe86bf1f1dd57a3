"""The envelope that endpoints receive, and page tokens."""

import json
from typing import Any

import pytest

from libs import errors
from podium.common.v1 import event_pb2
from services.webhook import wire


def event(**data: Any) -> event_pb2.Event:
    made = event_pb2.Event(
        event_id="evt_1", type="run.finished", organization_id="org_a", run_id="run_1"
    )
    made.occurred_at.FromMilliseconds(1_795_348_800_123)
    made.data.update(data)
    return made


def test_the_envelope_is_thin_and_names_what_it_concerns() -> None:
    told = wire.announcement(event(state="completed", blocks=3, ratio=0.5, tags=["a", 1]))
    assert json.loads(told.body) == {
        "type": "run.finished",
        "timestamp": "2026-11-22T12:00:00.123Z",
        "data": {
            "state": "completed", "blocks": 3, "ratio": 0.5, "tags": ["a", 1], "run_id": "run_1",
        },
    }  # fmt: skip
    assert '"blocks":3,' in told.body


def test_a_page_token_belongs_to_its_list() -> None:
    token = wire.page_token("whd_1", "whe_1", 2)
    assert wire.after(token, "whe_1", 2) == "whd_1"
    for wrong in (token[:-2], "ä", "%%%", "e30", "bnVsbA", "W10", token + "A"):
        with pytest.raises(errors.Invalid):
            wire.after(wrong, "whe_1", 2)
    with pytest.raises(errors.Invalid, match="other filters"):
        wire.after(token, "whe_2", 2)
    assert (wire.page_token(""), wire.after("")) == ("", "")
