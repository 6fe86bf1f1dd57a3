"""Runs and their saga: states and the rules between them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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

    def as_dict(self) -> dict[str, Any]:
        """As it is stored."""
        moments = {"started_at": self.started_at, "ended_at": self.ended_at}
        return {"name": self.name, "state": str(self.state), "message": self.message, **moments}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Step:
        """What `as_dict` stored, with its moments as JSON has them."""
        began, ended = stored["started_at"], stored["ended_at"]
        return cls(
            name=stored["name"],
            state=StepState(stored["state"]),
            started_at=datetime.fromisoformat(began) if began else None,
            ended_at=datetime.fromisoformat(ended) if ended else None,
            message=stored["message"],
        )


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
    # What is asked of its browser session, without secrets; None for the usual.
    session: dict[str, Any] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    output: dict[str, Any] | None = None
    failure: Failure | None = None
    detail: str = ""
    cancel_reason: str | None = None
    workflow_result: dict[str, Any] | None = None
    pause_requested: bool = False
    # How it will end once its steps are undone; from then on there is no way forward.
    ending: Outcome | None = None
    last_sequence: int = 0
    request_id: str = ""
    traceparent: str = ""
    idempotency_key: str | None = None
    request_hash: str = ""
    steps: tuple[Step, ...] = field(default=())
    # Under which fence the saga that reads this holds the run; 0 for everybody else.
    fence: int = 0

    @property
    def ended(self) -> bool:
        """Whether it is in a terminal state."""
        return self.state in TERMINAL

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop, or has turned back by itself."""
        return self.cancel_reason is not None or self.ending is not None

    def step(self, name: str) -> Step:
        """One of its saga's steps."""
        return next(step for step in self.steps if step.name == name)


def fresh_steps() -> tuple[Step, ...]:
    """The saga of a run that has not begun."""
    return tuple(Step(name) for name in STEPS)


def queued(run: Run) -> Run:
    """A run that was just made, its workflow run with it, as it waits for its saga."""
    made = Step(CREATE_WORKFLOW_RUN, StepState.COMPLETED, run.created_at, run.created_at)
    steps = tuple(made if step.name == made.name else step for step in run.steps)
    return replace(run, state=RunState.QUEUED, steps=steps)


def interruption(run: Run, now: datetime) -> Outcome | None:
    """How the run is to end because somebody, or its deadline, says so; None when it may go on."""
    if run.cancel_reason is not None:
        return Outcome(
            RunState.CANCELED, failure=Failure("CANCELED", run.cancel_reason or "canceled")
        )
    if now >= run.expires_at and run.workflow_result is None:
        limit_s = (run.expires_at - run.created_at).total_seconds()
        why = f"the run did not end within {limit_s:g} s"
        return Outcome(RunState.TIMED_OUT, failure=Failure("TIMED_OUT", why))
    return None


def what_was_not_undone(run: Run) -> str:
    """The run's detail about compensations that failed; empty when there is none."""
    lost = [
        f"{step.name} could not be undone: {step.message}"
        for step in reversed(run.steps)
        if step.state is StepState.COMPENSATION_FAILED
    ]
    return "compensation_failed: " + "; ".join(lost) if lost else ""


def to_compensate(run: Run) -> list[Step]:
    """Steps to undo, newest first: the completed ones, and one whose effect is uncertain."""
    undone = (StepState.COMPLETED, StepState.RUNNING)
    return [step for step in reversed(run.steps) if step.state in undone]


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person is to look at."""

    alert_id: str
    level: str
    reason: str
    run_id: str
    context: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ends."""

    state: RunState
    output: dict[str, Any] | None = None
    failure: Failure | None = None

    def as_dict(self) -> dict[str, Any]:
        """As it is stored and told; an output is not part of an end that is not a success."""
        return {
            "state": str(self.state),
            "failure": self.failure.as_dict() if self.failure else None,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any] | None) -> Outcome | None:
        """What `as_dict` stored."""
        if not stored:
            return None
        return cls(RunState(stored["state"]), failure=Failure.from_dict(stored["failure"]))


def outcome_of_workflow(result: dict[str, Any]) -> Outcome:
    """The end of a run that follows from the end of its workflow run."""
    state = RunState(result["state"])
    if state is RunState.COMPLETED:
        return Outcome(state, output=result.get("output") or {})
    failure = Failure.from_dict(result.get("failure"))
    return Outcome(state, failure=failure or Failure("WORKFLOW_" + state.upper(), state))
