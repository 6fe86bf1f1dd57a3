"""Plain values to protobuf and back."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf import duration_pb2, json_format, struct_pb2

from libs import errors, wire
from podium.run.v1 import run_pb2

DATA = {
    "text": "ä\n", "count": 3, "ratio": 2.5, "yes": True, "nothing": None, "negative": -7,
    "rows": [{"id": 1, "tags": ["a", 1, None, False]}, {}, []], "deep": {"er": {}},
}  # fmt: skip


class State(enum.StrEnum):
    DONE = "done"


def test_json_values_come_back_as_they_were() -> None:
    packed = wire.struct(DATA)
    assert packed == json_format.ParseDict(DATA, struct_pb2.Struct())
    assert wire.plain(packed) == DATA
    assert type(wire.plain(packed)["count"]) is int
    assert type(wire.plain(packed)["ratio"]) is float
    for one in (None, True, 0, 0.5, "", [], {}, DATA):
        assert wire.plain(wire.value(one)) == one


def test_what_is_nearly_json_is_taken_too() -> None:
    assert wire.plain(wire.struct({"state": State.DONE, "pair": (1, 2)})) == {
        "state": "done", "pair": [1, 2],
    }  # fmt: skip


def test_a_number_too_large_for_a_double_stays_one() -> None:
    assert type(wire.plain(wire.value(2**53))) is int
    assert type(wire.plain(wire.value(1e300))) is float


def test_any_message_is_a_dict_under_its_own_names() -> None:
    run = run_pb2.Run(run_id="run_1", state=run_pb2.RUN_STATE_COMPLETED, output=wire.struct(DATA))
    assert wire.as_dict(run) == {"run_id": "run_1", "state": "RUN_STATE_COMPLETED", "output": DATA}


def test_a_moment_may_be_missing() -> None:
    moment = datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC)
    assert wire.timestamp(moment).ToDatetime(tzinfo=UTC) == moment
    assert wire.timestamp(None) is None


def test_a_length_of_time_is_checked() -> None:
    assert wire.span("wait", wire.duration(1.5)) == timedelta(seconds=1.5)
    assert wire.seconds("wait", wire.duration(1.5), most=2) == 1.5
    for wrong in (0, -1, 2.001):
        with pytest.raises(errors.Invalid, match="more than 0 and at most 2 seconds"):
            wire.seconds("wait", wire.duration(wrong), most=2)
    with pytest.raises(errors.Invalid, match="length of time"):
        wire.span("wait", duration_pb2.Duration(seconds=2**62))
