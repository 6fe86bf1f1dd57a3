"""A NUL is refused wherever it stands in a request, by the name of its field."""

import pytest

from libs import errors
from libs.rpc import text
from podium.common.v1 import event_pb2
from podium.run.v1 import run_pb2


def refused(request):
    with pytest.raises(errors.Invalid) as found:
        text.check(request)
    return [field for field, _why in found.value.violations]


def test_each_field_is_named():
    request = run_pb2.CreateRunRequest(idempotency_key="a\0b", labels={"k": "v\0", "ok": "fine"})
    request.parameters.update({"deep": {"list": ["fine", {"x": "\0"}]}, "n": 1.0})
    assert sorted(refused(request)) == ["idempotency_key", "labels.k", "parameters.deep.list[1].x"]


def test_a_key_with_one_is_named_by_what_it_belongs_to():
    request = run_pb2.CreateRunRequest()
    request.parameters.update({"a\0": 1})
    assert refused(request) == ["parameters"]


def test_numbers_and_bytes_may_have_such_bytes():
    request = run_pb2.CreateRunRequest(workflow_id="wf_1")
    request.parameters.update({"half": 0.5, "none": None, "no": False})
    assert b"\0" in request.SerializeToString()
    text.check(request)
    text.check(event_pb2.Event(event_id="evt_1"))
