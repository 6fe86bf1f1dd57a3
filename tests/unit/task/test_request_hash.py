"""When two requests for a task are the same one."""

from dataclasses import replace

from services.task.domain import Spec
from services.task.wire import request_hash


def test_asking_again_with_less_time_left_asks_for_the_same():
    spec = Spec(url="https://acme.example/", goal="sign in", timeout_s=300.0)
    assert request_hash(replace(spec, timeout_s=12.5)) == request_hash(spec)
    assert request_hash(replace(spec, goal="sign out")) != request_hash(spec)
