"""The envelope that endpoints receive."""

import json
from typing import Any

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
