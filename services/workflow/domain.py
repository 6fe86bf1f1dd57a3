"""What workflow runs and block runs are: states, rules, keys and sizes. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

MAX_STEP_KEY = 256
EVENT_OUTPUT_BYTES = 2_048
FINAL_EVENT_OUTPUT_BYTES = 65_536
MAX_OUTPUT_BYTES = 1024 * 1024
RETRY_BASE_S = 1.0
RETRY_CAP_S = 60.0
BROWSER_CRASHED = "BROWSER_CRASHED"
# A block whose browser died is no worse than before: it is run again on its own account, so often.
DEATHS_FORGIVEN = 2


class RunState(StrEnum):
    """Where a workflow run is in its life."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    TERMINATED = "terminated"
    CANCELED = "canceled"


class BlockState(StrEnum):
    """Where a block run is in its life."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELED = "canceled"


RUN_ENDS = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.TERMINATED, RunState.CANCELED})
RUN_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.CREATED: frozenset({RunState.RUNNING, RunState.CANCELED}),
    RunState.RUNNING: RUN_ENDS | {RunState.PAUSED},
    # A cancel wakes it first, so that the engine ends what it has begun.
    RunState.PAUSED: frozenset({RunState.RUNNING}),
    **{end: frozenset() for end in RUN_ENDS},
}

BLOCK_ENDS = frozenset(
    {BlockState.COMPLETED, BlockState.FAILED, BlockState.SKIPPED, BlockState.CANCELED}
)
# A skipped block never runs: its row is written in its terminal state.
BLOCK_TRANSITIONS: dict[BlockState, frozenset[BlockState]] = {
    BlockState.RUNNING: BLOCK_ENDS - {BlockState.SKIPPED},
    **{end: frozenset() for end in BLOCK_ENDS},
}


def may_become(state: RunState) -> list[RunState]:
    """The states from which a workflow run may enter `state`, for a compare-and-set."""
    return [origin for origin, targets in RUN_TRANSITIONS.items() if state in targets]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something did not reach its goal, as it is kept and told."""

    reason: str
    message: str
    block_path: str = ""
    screenshot_artifact_id: str = ""
    category: str = "business"

    def as_dict(self) -> dict[str, str]:
        """The plain form of rows, events and templates; empty fields are left out."""
        parts = {
            "reason": self.reason,
            "message": self.message,
            "block_path": self.block_path,
            "screenshot_artifact_id": self.screenshot_artifact_id,
            "category": self.category,
        }
        return {key: value for key, value in parts.items() if value}

    @classmethod
    def of(cls, parts: dict[str, str] | None) -> Failure | None:
        """The failure a row holds."""
        return cls(**parts) if parts else None


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """A workflow run as it is kept."""

    workflow_run_id: str
    organization_id: str
    run_id: str
    title: str
    state: RunState
    needs_browser: bool
    parameters: dict[str, Any]
    workflow_id: str = ""
    version: int = 0
    document: dict[str, Any] | None = None
    browser_session_id: str = ""
    request_id: str = ""
    traceparent: str = ""
    cancel_reason: str | None = None
    pause_requested: bool = False
    output: dict[str, Any] | None = None
    failure: Failure | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state in RUN_ENDS


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How the task that carried a block out ended."""

    task_id: str
    state: str
    output: Any = None
    artifacts: tuple[dict[str, Any], ...] = ()
    actions: int = 0
    failure: Failure | None = None


@dataclass(slots=True)
class BlockRun:
    """One attempt at one block. Mutable: the engine fills in its end."""

    block_path: str
    attempt: int
    kind: str
    label: str
    state: BlockState
    plan: Any = None
    output: Any = None
    summary: str = ""
    failure: Failure | None = None
    will_retry: bool = False
    task_id: str = ""
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    # How long its run was paused while it was open: that time does not count against it.
    paused_ms: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in BLOCK_ENDS

    @property
    def lost_its_browser(self) -> bool:
        """Whether this attempt ended because the browser died."""
        return self.failure is not None and self.failure.reason == BROWSER_CRASHED

    def seen_by_templates(self) -> dict[str, Any]:
        """What later blocks may read of it."""
        return {
            "output": self.output,
            "state": str(self.state),
            "failure": self.failure.as_dict() if self.failure else None,
            "artifacts": self.artifacts,
            "task_id": self.task_id,
        }


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a workflow as it is kept."""

    workflow_id: str
    organization_id: str
    name: str
    version: int
    document: dict[str, Any]
    digest: str
    created_at: datetime
    updated_at: datetime

    @property
    def etag(self) -> str:
        """Changes with every version and with nothing else."""
        return f"{self.version}-{self.digest[:16]}"


def digest_of(document: dict[str, Any]) -> str:
    """A fingerprint of a document that does not depend on the order of its fields."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def step_key(run_id: str, block_path: str, attempt: int) -> str:
    """The name under which the effects of one attempt are recognised when they are repeated."""
    key = f"{run_id}/{block_path}/{attempt}"
    if len(key) <= MAX_STEP_KEY:
        return key
    return f"{run_id[:64]}/{hashlib.sha256(key.encode()).hexdigest()}/{attempt}"


def backoff_s(attempt: int) -> float:
    """How long to wait after the given attempt failed before the next one."""
    return min(RETRY_BASE_S * 2 ** min(attempt - 1, 16), RETRY_CAP_S)


def may_retry(
    failure: Failure, attempt: int, deaths: int, retries: int, resume: str, *, retryable: bool
) -> bool:
    """Whether a block that failed is run again.

    `deaths` counts the attempts, this one included, that ended because the browser died. They do
    not use the block's retries up, but have at least DEATHS_FORGIVEN of their own; a block that
    must not be begun twice (`resume: fail`) is not begun again by a death either.
    """
    if not retryable:
        return False
    if failure.reason == BROWSER_CRASHED:
        return resume != "fail" and deaths <= max(retries, DEATHS_FORGIVEN)
    return attempt - deaths <= retries


def size_of(value: Any) -> int:
    """Bytes of a JSON value as text."""
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def for_event(output: Any, limit: int) -> dict[str, Any]:
    """The output as an event carries it: whole when small, else only the fact that there is one."""
    if output is None:
        return {}
    if size_of(output) <= limit:
        return {"output": output}
    text = json.dumps(output, ensure_ascii=False)
    return {"output_preview": text[:200], "output_truncated": True}
