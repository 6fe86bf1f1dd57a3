"""What a task is: its states, the order of its work, and the reasons it may fail. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class TaskState(StrEnum):
    """Where a task is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TERMINATED = "terminated"
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"


_ENDS = frozenset(
    {
        TaskState.COMPLETED,
        TaskState.FAILED,
        TaskState.TERMINATED,
        TaskState.CANCELED,
        TaskState.TIMED_OUT,
    }
)
TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    TaskState.QUEUED: frozenset(
        {TaskState.RUNNING, TaskState.FAILED, TaskState.CANCELED, TaskState.TIMED_OUT}
    ),
    TaskState.RUNNING: _ENDS,
    **{end: frozenset() for end in _ENDS},
}
TERMINAL = _ENDS


def may_become(state: TaskState) -> list[TaskState]:
    """The states from which `state` may be entered, for a compare-and-set."""
    return [origin for origin, targets in TRANSITIONS.items() if state in targets]


class ActionState(StrEnum):
    """Where one recorded action is."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Reason(StrEnum):
    """Why a task or an action failed, for programs; the message beside it is for people."""

    TARGET_NOT_FOUND = "TARGET_NOT_FOUND"
    TARGET_AMBIGUOUS = "TARGET_AMBIGUOUS"
    TARGET_NOT_READY = "TARGET_NOT_READY"
    PAGE_NOT_LOADED = "PAGE_NOT_LOADED"
    WAIT_TIMED_OUT = "WAIT_TIMED_OUT"
    OPTION_NOT_FOUND = "OPTION_NOT_FOUND"
    NOTHING_TO_EXTRACT = "NOTHING_TO_EXTRACT"
    EXTRACTION_INVALID = "EXTRACTION_INVALID"
    NO_CREDENTIAL = "NO_CREDENTIAL"
    LOGIN_FIELDS_NOT_FOUND = "LOGIN_FIELDS_NOT_FOUND"
    LOGIN_REJECTED = "LOGIN_REJECTED"
    CODE_REJECTED = "CODE_REJECTED"
    LINK_NOT_ALLOWED = "LINK_NOT_ALLOWED"
    CODE_NOT_AVAILABLE = "CODE_NOT_AVAILABLE"
    DOWNLOAD_FAILED = "DOWNLOAD_FAILED"
    UPLOAD_FAILED = "UPLOAD_FAILED"
    NOT_UNDERSTOOD = "NOT_UNDERSTOOD"
    GOAL_IMPOSSIBLE = "GOAL_IMPOSSIBLE"
    STEP_LIMIT = "STEP_LIMIT"
    STUCK = "STUCK"
    PLANNER_FAILED = "PLANNER_FAILED"
    SESSION_LOST = "SESSION_LOST"
    BROWSER_CRASHED = "BROWSER_CRASHED"
    TIMED_OUT = "TIMED_OUT"
    CANCELED = "CANCELED"
    INTERNAL = "INTERNAL"


class TaskFailure(Exception):
    """Something the task wanted is not possible; the message is for the person who asked."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Phase(StrEnum):
    """The parts of a task, in the order in which they are carried out."""

    URL = "url"
    GOAL = "goal"
    ACTIONS = "actions"
    LOGIN = "login"
    EXTRACTION = "extraction"
    SCREENSHOT = "screenshot"


@dataclass(frozen=True)
class LoginSpec:
    """A login the task carries out."""

    credential_id: str
    totp_identifier: str = ""
    success_text: str = ""
    link_hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExtractionSpec:
    """Data the task reads off the page."""

    instruction: str = ""
    schema: dict[str, Any] | None = None


@dataclass(frozen=True)
class Spec:
    """What the caller asked for."""

    url: str = ""
    goal: str = ""
    actions: tuple[dict[str, Any], ...] = ()
    login: LoginSpec | None = None
    extraction: ExtractionSpec | None = None
    credential_id: str = ""
    max_steps: int = 25
    timeout_s: float = 300.0
    screenshot_name: str = ""
    screenshot_full_page: bool = False


@dataclass(frozen=True)
class Failing:
    """Why something did not work, as it is kept and told."""

    reason: str
    message: str
    screenshot_artifact_id: str = ""

    @property
    def category(self) -> str:
        """The strategy of the error policy for this kind of failure."""
        return _CATEGORIES.get(self.reason, "business")


_CATEGORIES: dict[str, str] = {
    Reason.PAGE_NOT_LOADED: "network",
    Reason.SESSION_LOST: "transient",
    Reason.BROWSER_CRASHED: "transient",
    Reason.PLANNER_FAILED: "transient",
    Reason.CODE_NOT_AVAILABLE: "transient",
    Reason.NO_CREDENTIAL: "configuration",
    Reason.INTERNAL: "system",
}


@dataclass(frozen=True)
class ActionRecord:
    """One action as it was carried out: kept for ever, and free of secrets."""

    number: int
    kind: str
    params: dict[str, Any]
    phase: Phase
    planner: str
    state: ActionState
    started_at: datetime
    page_url: str = ""
    page_mark: str = ""
    duration_ms: int = 0
    output: Any = None
    failing: Failing | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state is not ActionState.RUNNING


@dataclass(frozen=True)
class Order:
    """What is to be done in a session's page at once, without a task."""

    browser_session_id: str
    actions: tuple[dict[str, Any], ...]
    control_id: str
    credential_id: str
    timeout_s: float


@dataclass(frozen=True)
class Done:
    """What came of an order, and where that led."""

    records: tuple[ActionRecord, ...]
    completed: bool
    url: str
    title: str


@dataclass(frozen=True)
class Task:
    """A task as it is kept."""

    task_id: str
    organization_id: str
    request_id: str
    spec: Spec
    browser_session_id: str
    state: TaskState
    created_at: datetime
    run_id: str = ""
    workflow_run_id: str = ""
    block_path: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_reason: str | None = None
    # Which browser of the session it acts in, once it has begun; another one has another page.
    browser_generation: int = 0
    output: Any = None
    artifacts: tuple[dict[str, Any], ...] = ()
    failing: Failing | None = None

    @property
    def deadline(self) -> datetime:
        """When it ends as timed out; counted from its creation, so a take-over does not move it."""
        return self.created_at + timedelta(seconds=self.spec.timeout_s)

    @property
    def is_over(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state in TERMINAL


@dataclass(frozen=True)
class Outcome:
    """How a task ended."""

    state: TaskState
    output: Any = None
    artifacts: tuple[dict[str, Any], ...] = ()
    failing: Failing | None = None


def browser_lost(reason: str) -> Outcome:
    """How a task ends whose page went with its browser."""
    why = {
        Reason.BROWSER_CRASHED: "the browser died during the task; its session has another one now",
        Reason.SESSION_LOST: "the browser session ended during the task",
    }
    return Outcome(TaskState.FAILED, failing=Failing(reason, why[Reason(reason)]))


def outcome_of(failure: TaskFailure, screenshot_artifact_id: str = "") -> Outcome:
    """The terminal state a failure leads to."""
    states = {
        Reason.TIMED_OUT: TaskState.TIMED_OUT,
        Reason.CANCELED: TaskState.CANCELED,
        Reason.GOAL_IMPOSSIBLE: TaskState.TERMINATED,
    }
    return Outcome(
        states.get(failure.reason, TaskState.FAILED),
        failing=Failing(str(failure.reason), failure.message, screenshot_artifact_id),
    )
