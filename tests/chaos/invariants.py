"""What must hold whatever was killed. Each is a function that answers its violations in words.

They look from outside: at what clients saw, at what the side-effect server and the webhook receiver
noted, and at the databases once everything is at rest. S and L numbers are those of the plan.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from libs import history
from podium.run.v1 import run_pb2
from tests.chaos.books import LeaseWatch
from tests.chaos.load import Followed
from tests.chaos.nemesis import Window
from tests.chaos.world import Effect, World

# An attempt may be repeated for so long after a fault: the lease, the sweep, and a busy machine.
AFTERMATH_S = 15.0
WEBHOOK_LANE = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Evidence:
    """Everything that was noted in one campaign."""

    followed: list[Followed]
    refusals: list[str]
    world: World
    windows: list[Window]
    watch: LeaseWatch
    stored: dict[str, list[Mapping[str, Any]]]  # the history of each run, from the database
    rows: list[Mapping[str, Any]]  # the table of runs
    left: list[str]

    def accepted(self) -> list[Followed]:
        """The runs whose start was acknowledged."""
        return [each for each in self.followed if each.run_id]

    def in_a_fault(self, began: float, ended: float) -> bool:
        """Whether a fault, or what followed from it, overlaps a time."""
        return any(
            window.began <= ended and began <= (window.ended or began) + AFTERMATH_S
            for window in self.windows
        )


def violations(evidence: Evidence) -> list[str]:
    """Every violation of every invariant, each with the name of its rule."""
    return [f"{rule.__name__}: {what}" for rule in RULES for what in rule(evidence)]


def s1_no_accepted_run_is_lost(evidence: Evidence) -> Iterator[str]:
    """Each run that was acknowledged has ended, and in the state in which its kind ends."""
    for each in evidence.accepted():
        if each.run is None:
            yield f"{each.run_id} ({each.kind.name}) has not ended"
            continue
        state = run_pb2.RunState.Name(each.run.state).removeprefix("RUN_STATE_")
        if state != each.kind.ends:
            why = f"{each.run.failure.reason}: {each.run.failure.message}"
            yield f"{each.run_id} ({each.kind.name}) ended {state}, not {each.kind.ends} ({why})"


def s1_clients_are_told_nothing_wrong(evidence: Evidence) -> Iterator[str]:
    """No client was refused something that it may do; outages are answered as outages."""
    yield from evidence.refusals


def s2_one_run_for_each_key(evidence: Evidence) -> Iterator[str]:
    """However often a start is repeated, its key has one run."""
    for each in evidence.accepted():
        if len(each.answered) != 1:
            yield f"key {each.key} was answered with {sorted(each.answered)}"
    keys = Counter(row["idempotency_key"] for row in evidence.rows)
    yield from (f"key {key} has {count} runs" for key, count in keys.items() if count > 1)


def s3_effects_are_there_once_by_key(evidence: Evidence) -> Iterator[str]:
    """Each effect that a run must have is there, by as many keys as the history says attempts."""
    for each in evidence.accepted():
        if each.run is None:
            continue
        effects = evidence.world.of_run(each.run_id)
        had = {effect.path for effect in effects}
        yield from (f"{each.run_id}: no effect of {p}" for p in each.kind.paths if p not in had)
        yield from (
            f"{each.run_id} ({each.kind.name}): an effect of {path} that must not be"
            for path in sorted(had - set(each.kind.paths))
        )
        for path in had:
            keys = {effect.key for effect in effects if effect.path == path}
            allowed = 2 if each.kind.parameters.get("flaky_at") == path else 1
            if len(keys) > allowed:
                yield f"{each.run_id}: {path} had the keys {sorted(keys)}"


def s3_attempts_repeat_only_in_faults(evidence: Evidence) -> Iterator[str]:
    """One key arrives twice only when a fault hit something at that time."""
    by_key: dict[str, list[Effect]] = {}
    for effect in evidence.world.effects:
        by_key.setdefault(effect.key, []).append(effect)
    for key, effects in by_key.items():
        times = [effect.arrived for effect in effects]
        if len(times) > 1 and not evidence.in_a_fault(min(times), max(times)):
            yield f"{key} arrived {len(times)} times although nothing was broken"


def s4_fences_never_go_back(evidence: Evidence) -> Iterator[str]:
    """A later holder has a higher fence."""
    yield from evidence.watch.gone_back


def s5_blocks_keep_their_order(evidence: Evidence) -> Iterator[str]:
    """The first effect of a block comes after the first of every block before it."""
    for each in evidence.accepted():
        first: dict[str, float] = {}
        for effect in evidence.world.of_run(each.run_id):
            first[effect.path] = min(effect.arrived, first.get(effect.path, effect.arrived))
        order = [path for path in each.kind.paths if path in first]
        if order != sorted(order, key=lambda path, first=first: first[path]):
            yield f"{each.run_id}: the effects came as {sorted(first, key=lambda p: first[p])}"


def s5_history_tells_blocks_in_order(evidence: Evidence) -> Iterator[str]:
    """Nothing of a block is missing in the history of a run, and its end follows its beginning."""
    for each in evidence.accepted():
        if each.run is None:
            continue
        entries = evidence.stored.get(each.run_id, [])
        began, ended = (
            _block_events(entries, "block.started"),
            _block_events(entries, "block.finished"),
        )
        for path in each.kind.paths:
            first = min((at for (p, _), at in began.items() if p == path), default=None)
            if first is None:
                yield f"{each.run_id} ({each.kind.name}): its history has no beginning of {path}"
        for which, at in ended.items():
            if at < began.get(which, 0):
                yield f"{each.run_id}: the history has the end of {which} before its beginning"
        unended = began.keys() - ended.keys()
        if unended and each.kind.ends == "COMPLETED":
            yield f"{each.run_id}: its history has no end of {sorted(unended)}"


def s6_what_was_done_is_undone(evidence: Evidence) -> Iterator[str]:
    """A saga that did not complete has undone what it had done, newest first, each once."""
    for each in evidence.accepted():
        if each.run is None or each.kind.ends == "COMPLETED":
            continue
        steps = {step.name: run_pb2.SagaStepState.Name(step.state)[16:] for step in each.run.steps}
        half = {n: s for n, s in steps.items() if s in ("COMPLETED", "RUNNING")} | {}
        half.pop("send_webhooks", None)
        if half:
            yield f"{each.run_id}: {half} although the run {each.kind.ends}"
        told = [(e["type"], _data(e).get("step")) for e in evidence.stored.get(each.run_id, [])]
        undone = [step for type_, step in told if type_ == "saga.step_compensated"]
        order = [step.name for step in each.run.steps if step.name in undone]
        if undone != order[::-1]:
            yield f"{each.run_id}: undone were {undone}, done {order}"


def s7_histories_are_whole(evidence: Evidence) -> Iterator[str]:
    """1, 2, 3 … without gaps, each hash over the one before, exactly one end and it is the last."""
    for run_id, entries in evidence.stored.items():
        sequences = [entry["sequence"] for entry in entries]
        if sequences != list(range(1, len(entries) + 1)):
            yield f"{run_id}: its history has the sequences {sequences}"
        previous = ""
        for entry in entries:
            if _chained(previous, entry) != entry["hash"]:
                yield f"{run_id}: the hash of entry {entry['sequence']} is wrong"
                break
            previous = entry["hash"]
        ends = [entry["sequence"] for entry in entries if entry["type"] == "run.finished"]
        if ends != sequences[-1:]:
            yield f"{run_id}: the run's end is at {ends} of {len(entries)}"


def s7_the_projection_is_what_the_history_says(evidence: Evidence) -> Iterator[str]:
    """State and steps of a run, told again from its history alone, are those of its row."""
    for each in evidence.accepted():
        if each.run is None:
            continue
        told = _told_again(evidence.stored.get(each.run_id, []))
        states = {s.name: run_pb2.SagaStepState.Name(s.state)[16:].lower() for s in each.run.steps}
        states.pop("send_webhooks", None)
        live = (run_pb2.RunState.Name(each.run.state)[10:].lower(), states)
        if told != live:
            yield f"{each.run_id}: its history says {told}, its row {live}"


def s8_streams_show_each_sequence_once(evidence: Evidence) -> Iterator[str]:
    """Over all its reconnects a client saw 1 … n in order, and what it saw is what is stored."""
    for each in evidence.accepted():
        expected = list(range(1, len(each.sequences) + 1))
        if each.sequences != expected:
            yield f"{each.run_id}: its client saw {each.sequences} over {each.streams} streams"
        stored = {e["sequence"]: e["hash"] for e in evidence.stored.get(each.run_id, [])}
        if each.run is not None and {e.sequence: e.hash for e in each.events} != stored:
            yield f"{each.run_id}: its client saw {len(each.events)} of {len(stored)} entries"


def s9_each_end_is_told(evidence: Evidence) -> Iterator[str]:
    """Webhooks: at least once, one id for each run, well signed, never before the commit."""
    ended_at = {row["run_id"]: _moment(row["ended_at"]) for row in evidence.rows}
    by_run: dict[str, list[Any]] = {}
    for told in evidence.world.told:
        by_run.setdefault(told.run_id, []).append(told)
        if told.why_not:
            yield f"a message about {told.run_id} is not to be believed: {told.why_not}"
        if (end := ended_at.get(told.run_id)) is None or told.arrived < end:
            yield f"{told.run_id}: told at {told.arrived}, before its end at {end} was on disk"
    for each in evidence.accepted():
        told = by_run.get(each.run_id, [])
        if each.run is not None and not told:
            yield f"{each.run_id} ({each.kind.name}): nobody was told of its end"
        if len({message.webhook_id for message in told}) > 1:
            yield f"{each.run_id}: its end was told under { ({m.webhook_id for m in told}) }"


def s10_timers_are_never_early(evidence: Evidence) -> Iterator[str]:
    """What comes after a wait comes after at least that long."""
    for each in evidence.accepted():
        effects = evidence.world.of_run(each.run_id)
        for before, after, seconds in each.kind.timers:
            first = [e.arrived for e in effects if e.path == before]
            then = [e.arrived for e in effects if e.path == after]
            if first and then and min(then) - min(first) < seconds:
                yield f"{each.run_id}: waited {min(then) - min(first):.2f} s instead of {seconds} s"


def s11_limits_hold(evidence: Evidence) -> Iterator[str]:
    """No endpoint gets more messages at once than its lane has places."""
    if (most := evidence.world.most_hooks_at_once) > WEBHOOK_LANE:
        yield f"{most} webhook messages at once, {WEBHOOK_LANE} are allowed"


def s12_nothing_is_left(evidence: Evidence) -> Iterator[str]:
    """At rest nothing is leased, pending, unread or open."""
    yield from evidence.left


RULES = (
    s1_no_accepted_run_is_lost,
    s1_clients_are_told_nothing_wrong,
    s2_one_run_for_each_key,
    s3_effects_are_there_once_by_key,
    s3_attempts_repeat_only_in_faults,
    s4_fences_never_go_back,
    s5_blocks_keep_their_order,
    s5_history_tells_blocks_in_order,
    s6_what_was_done_is_undone,
    s7_histories_are_whole,
    s7_the_projection_is_what_the_history_says,
    s8_streams_show_each_sequence_once,
    s9_each_end_is_told,
    s10_timers_are_never_early,
    s11_limits_hold,
    s12_nothing_is_left,
)


def _block_events(entries: Iterable[Mapping[str, Any]], type_: str) -> dict[tuple[str, int], int]:
    """Sequence of each block attempt's first event of a type."""
    found: dict[tuple[str, int], int] = {}
    for entry in entries:
        if entry["type"] == type_:
            data = _data(entry)
            found.setdefault((data["block_path"], int(data["attempt"])), entry["sequence"])
    return found


def _told_again(entries: Iterable[Mapping[str, Any]]) -> tuple[str, dict[str, str]]:
    """The state of a run and its steps, from its history and nothing else."""
    state, steps = "", {}
    for entry in entries:
        data = _data(entry)
        if entry["type"].startswith("saga.step_"):
            word = entry["type"].removeprefix("saga.step_")
            steps[data["step"]] = {"started": "running", "finished": "completed"}.get(word, word)
        elif entry["type"] == "run.finished":
            state = data["state"]
            if state == "completed":
                steps.setdefault("execute_workflow", "completed")
    for name in ("create_workflow_run", "acquire_browser_session", "execute_workflow"):
        steps.setdefault(name, "pending")
    steps.pop("send_webhooks", None)
    return state, steps


def _data(entry: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(entry["data"])


def _chained(previous: str, entry: Mapping[str, Any]) -> str:
    return history.chained(
        previous,
        entry["stream_id"],
        entry["sequence"],
        entry["type"],
        entry["source"],
        _EPOCH + timedelta(microseconds=entry["occurred_at"]),
        _data(entry),
    )


def _moment(stored: int | None) -> float | None:
    return None if stored is None else stored / 1e6
