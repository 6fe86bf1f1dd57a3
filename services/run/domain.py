"""Runs and their saga: states and the rules between them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class RunState(StrEnum):
    """Where a run stands."""

    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    TERMINATED = "terminated"
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"


# The whole state machine: from each state, where a run may go. Terminal states lead nowhere.
TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.CREATED: frozenset({RunState.QUEUED, RunState.CANCELED, RunState.FAILED}),
    RunState.QUEUED: frozenset(
        {RunState.RUNNING, RunState.CANCELED, RunState.TIMED_OUT, RunState.FAILED}
    ),
    RunState.RUNNING: frozenset(
        {
            RunState.PAUSED,
            RunState.COMPLETED,
            RunState.FAILED,
            RunState.TERMINATED,
            RunState.CANCELED,
            RunState.TIMED_OUT,
        }
    ),
    RunState.PAUSED: frozenset(
        {RunState.RUNNING, RunState.CANCELED, RunState.TIMED_OUT, RunState.FAILED}
    ),
    RunState.COMPLETED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.TERMINATED: frozenset(),
    RunState.CANCELED: frozenset(),
    RunState.TIMED_OUT: frozenset(),
}
TERMINAL = frozenset(state for state, onward in TRANSITIONS.items() if not onward)


def sources(target: RunState) -> frozenset[RunState]:
    """The states from which `target` may be entered; for the compare-and-set in the database."""
    return frozenset(state for state, onward in TRANSITIONS.items() if target in onward)


class StepState(StrEnum):
    """How far a saga step is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"
    COMPENSATED = "compensated"
    COMPENSATION_FAILED = "compensation_failed"


CREATE_WORKFLOW_RUN = "create_workflow_run"
ACQUIRE_BROWSER_SESSION = "acquire_browser_session"
EXECUTE_WORKFLOW = "execute_workflow"
SEND_WEBHOOKS = "send_webhooks"
STEPS = (CREATE_WORKFLOW_RUN, ACQUIRE_BROWSER_SESSION, EXECUTE_WORKFLOW, SEND_WEBHOOKS)

DEFAULT_TIMEOUT = timedelta(hours=1)
LONGEST_TIMEOUT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run's saga, as recorded."""

    name: str
    state: StepState = StepState.PENDING
    started_at: datetime | None = None
    ended_at: datetime | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run did not reach its goal."""

    reason: str
    message: str
    block_path: str = ""
    screenshot_artifact_id: str = ""
    category: str = ""

    def as_dict(self) -> dict[str, str]:
        """As it is stored and announced."""
        return {
            "reason": self.reason,
            "message": self.message,
            "block_path": self.block_path,
            "screenshot_artifact_id": self.screenshot_artifact_id,
            "category": self.category,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any] | None) -> Failure | None:
        """What `as_dict` stored."""
        if not stored:
            return None
        known = {name: str(stored.get(name, "")) for name in cls.__slots__}
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Run:
    """One run."""

    run_id: str
    organization_id: str
    state: RunState
    title: str
    workflow_id: str
    workflow_version: int
    workflow_run_id: str
    needs_browser: bool
    requested_session_id: str
    browser_session_id: str
    parameters: dict[str, Any]
    labels: dict[str, str]
    created_at: datetime
    expires_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    output: dict[str, Any] | None = None
    failure: Failure | None = None
    detail: str = ""
    cancel_reason: str | None = None
    workflow_result: dict[str, Any] | None = None
    last_sequence: int = 0
    request_id: str = ""
    traceparent: str = ""
    steps: tuple[Step, ...] = field(default=())

    @property
    def ended(self) -> bool:
        """Whether it is in a terminal state."""
        return self.state in TERMINAL

    def step(self, name: str) -> Step:
        """One of its saga's steps."""
        return next(step for step in self.steps if step.name == name)


def to_compensate(run: Run) -> list[Step]:
    """Steps to undo, newest first: the completed ones, and one whose effect is uncertain."""
    undone = (StepState.COMPLETED, StepState.RUNNING)
    return [step for step in reversed(run.steps) if step.state in undone]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ends."""

    state: RunState
    output: dict[str, Any] | None = None
    failure: Failure | None = None


def outcome_of_workflow(result: dict[str, Any]) -> Outcome:
    """The end of a run that follows from the end of its workflow run."""
    state = RunState(result["state"])
    if state is RunState.COMPLETED:
        return Outcome(state, output=result.get("output") or {})
    failure = Failure.from_dict(result.get("failure"))
    return Outcome(state, failure=failure or Failure("WORKFLOW_" + state.upper(), state))
