"""States are only left as the tables say; keys and sizes hold."""

from __future__ import annotations

from services.workflow.domain import (
    BLOCK_ENDS,
    BLOCK_TRANSITIONS,
    BROWSER_CRASHED,
    RUN_ENDS,
    RUN_TRANSITIONS,
    BlockState,
    Failure,
    RunState,
    backoff_s,
    digest_of,
    for_event,
    may_become,
    may_retry,
    step_key,
)


def test_every_state_has_its_transitions_and_ends_have_none():
    assert set(RUN_TRANSITIONS) == set(RunState)
    assert set(BLOCK_TRANSITIONS) == set(BlockState)
    assert not any(RUN_TRANSITIONS[end] for end in RUN_ENDS)
    assert not any(BLOCK_TRANSITIONS[end] for end in BLOCK_ENDS)


def test_only_what_was_started_completes_and_only_what_was_not_is_abandoned():
    assert may_become(RunState.COMPLETED) == [RunState.RUNNING]
    assert set(may_become(RunState.CANCELED)) == {RunState.CREATED, RunState.RUNNING}
    assert may_become(RunState.CREATED) == []


def test_step_keys_are_distinct_and_short_enough():
    assert step_key("run_1", "a.0.b", 2) == "run_1/a.0.b/2"
    deep = ".".join(["x" * 64] * 6)
    keys = {step_key("run_1", deep + end, attempt) for end in "ab" for attempt in (1, 2)}
    assert len(keys) == 4
    assert all(len(key) <= 256 for key in keys)


def test_pauses_grow_up_to_a_minute():
    assert [backoff_s(n) for n in (1, 2, 3, 7, 99)] == [1, 2, 4, 60, 60]


def test_a_digest_does_not_depend_on_order():
    assert digest_of({"a": 1, "b": [1]}) == digest_of({"b": [1], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})


def test_events_carry_small_outputs_whole_and_tell_of_large_ones():
    assert for_event(None, 10) == {}
    assert for_event({"a": 1}, 100) == {"output": {"a": 1}}
    large = for_event(["x" * 1000], 100)
    assert large["output_truncated"] is True
    assert len(large["output_preview"]) == 200


def test_a_failure_survives_its_row():
    failure = Failure("R", "m", "a.b", "art_1", "network")
    assert Failure.of(failure.as_dict()) == failure
    assert Failure.of(None) is None


def test_a_dead_browser_has_retries_of_its_own():
    def again(reason, attempt, deaths, retries=0, resume="safe"):
        failure = Failure(reason, "why")
        return may_retry(failure, attempt, deaths, retries, resume, retryable=True)

    assert [again(BROWSER_CRASHED, died, died) for died in (1, 2, 3)] == [True, True, False]
    assert again(BROWSER_CRASHED, 4, 4, retries=4)
    assert not again(BROWSER_CRASHED, 1, 1, retries=4, resume="fail")
    # The second attempt at a block with one retry, of which the first met a dead browser.
    assert again("TARGET_NOT_FOUND", 2, 1, retries=1)
    assert not again("TARGET_NOT_FOUND", 3, 1, retries=1)
