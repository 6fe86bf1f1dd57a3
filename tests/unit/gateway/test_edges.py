"""The small parts of the edge: rate limits, what a request brings along, problems."""

from __future__ import annotations

import json

import grpc
import pytest

from gateway import problem
from gateway.entry import asked_timeout_s, entry_of
from gateway.limits import RateLimit
from libs import errors
from libs.clock import ManualClock


def test_a_key_that_calls_too_often_is_told_when_to_come_back():
    clock = ManualClock()
    rate = RateLimit(per_s=2.0, burst=3, clock=clock)
    for _ in range(3):
        rate.take("key_a")
    with pytest.raises(errors.Exhausted) as refused:
        rate.take("key_a")
    assert refused.value.retry_after_s == 0.5
    rate.take("key_b")
    clock.advance(0.5)
    rate.take("key_a")


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ü", "a\nb"])
def test_a_request_id_that_is_not_well_formed_is_replaced(given):
    assert entry_of({"x-request-id": given}).request_id.startswith("req_")


def test_well_formed_ids_and_traces_are_kept():
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    entry = entry_of({"x-request-id": "my-id.1", "traceparent": trace})
    assert (entry.request_id, entry.traceparent) == ("my-id.1", trace)
    assert entry_of({"traceparent": "00-zz"}).traceparent == ""


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-timeout-ms": "1500"}, 1.5),
        ({"grpc-timeout": "5S"}, 5.0),
        ({"grpc-timeout": "250m"}, 0.25),
    ],
)
def test_deadlines_of_rest_clients(headers, seconds):
    assert asked_timeout_s(headers) == seconds


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "soon", "9" * 30, "٣"])
def test_deadlines_that_make_no_sense(given):
    with pytest.raises(errors.Invalid) as invalid:
        asked_timeout_s({"x-timeout-ms": given})
    assert invalid.value.violations[0][0] == "x-timeout-ms"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 400),
        (grpc.StatusCode.FAILED_PRECONDITION, 400),
        (grpc.StatusCode.UNAUTHENTICATED, 401),
        (grpc.StatusCode.PERMISSION_DENIED, 403),
        (grpc.StatusCode.NOT_FOUND, 404),
        (grpc.StatusCode.ALREADY_EXISTS, 409),
        (grpc.StatusCode.ABORTED, 409),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
        (grpc.StatusCode.INTERNAL, 500),
        (grpc.StatusCode.UNIMPLEMENTED, 501),
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504),
    ],
)
def test_each_word_has_its_status(code, status):
    error = errors.WORDS[code].__new__(errors.WORDS[code])
    errors.PodiumError.__init__(error, "why", retry_after_s=0.2)
    told = problem.of(error, "req_1")
    assert (told.status, told.code) == (status, code.name)
    assert told.all_headers()["retry-after"] == "1"
    assert json.loads(told.as_json())["retry_after_s"] == 0.2


def test_a_bug_tells_nothing_but_its_error_id():
    told = problem.of(RuntimeError("a secret"), "req_1")
    assert told.status == 500
    assert told.error_id.startswith("err_")
    assert b"secret" not in told.as_json()
