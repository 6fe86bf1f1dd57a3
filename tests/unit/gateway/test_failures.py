"""How a failed call to a service is told to the client."""

import grpc
import pytest

from gateway import failures
from libs import errors
from libs.rpc import policy


class Broken:
    """A call that ended without an answer of the service's own."""

    def __init__(self, details):
        self._details = details

    def trailing_metadata(self):
        return ()

    def code(self):
        return grpc.StatusCode.INTERNAL

    def details(self):
        return self._details


@pytest.fixture
def rpc():
    return policy.rpcs()["/podium.run.v1.RunService/WatchRun"]


def test_a_stream_whose_replica_died_is_an_outage(rpc):
    reset = "Stream removed (RST_STREAM (Received RST_STREAM with error code 2))"
    assert isinstance(failures.told(Broken(reset), rpc), errors.Unavailable)


def test_what_has_no_name_is_a_bug(rpc):
    assert isinstance(failures.told(Broken("boom"), rpc), errors.Internal)
