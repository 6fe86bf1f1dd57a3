"""What a recovery consists of, and carrying one out. Pure but for the steps it is given."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from libs import errors
from libs.clock import Clock

LONGEST_MESSAGE = 500
log = logging.getLogger(__name__)


class Failure(StrEnum):
    """The failures there is a strategy for."""

    DATABASE_CONNECTION_LOST = "database_connection_lost"
    BROWSER_SESSION_EXPIRED = "browser_session_expired"
    WORKFLOW_ENGINE_CRASHED = "workflow_engine_crashed"
    MEMORY_EXHAUSTION = "memory_exhaustion"
    REPLICA_DIED = "replica_died"


class State(StrEnum):
    """What came of a recovery."""

    RECOVERED = "recovered"
    FAILED = "failed"
    # The process ends itself; whoever takes its place verifies that all is well.
    RESTARTING = "restarting"


class StepFailed(Exception):
    """A step did not do what it is for; the message says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One named step. What `act` answers is kept as its message; raising ends the recovery."""

    name: str
    act: Callable[[], Awaitable[str | None]]
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of one step."""

    name: str
    ok: bool
    message: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Strategy:
    """What is done about a failure; `verify` is the last step and proves health.

    Without a `verify` the recovery ends by restarting the process, and the next life verifies.
    """

    failure: Failure
    steps: tuple[Step, ...]
    verify: Callable[[], Awaitable[str | None]] | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """One recovery as it is kept. `subject` is what was recovered, such as a session's id."""

    recovery_id: str
    failure: Failure
    service: str
    replica: str
    subject: str
    reason: str
    state: State
    steps: tuple[StepResult, ...]
    started_at: datetime
    duration_ms: int
    organization_id: str = ""
    run_id: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The plain form of rows, lines and answers."""
        return {
            **asdict(self),
            "failure": str(self.failure),
            "state": str(self.state),
            "started_at": self.started_at.isoformat(),
        }

    def with_step(self, result: StepResult) -> Recovery:
        """The recovery after its last step has been carried out, in another life."""
        state = State.RECOVERED if result.ok else State.FAILED
        return replace(self, state=state, steps=(*self.steps, result))


async def carry_out(strategy: Strategy, clock: Clock) -> tuple[State, tuple[StepResult, ...]]:
    """Carries the steps out in order until one fails; what it answers is complete either way."""
    steps = list(strategy.steps)
    if strategy.verify is not None:
        steps.append(Step("verify_health", strategy.verify))
    results: list[StepResult] = []
    for step in steps:
        results.append(await carry_out_step(step, clock))
        if not results[-1].ok:
            return State.FAILED, tuple(results)
    ended = State.RESTARTING if strategy.verify is None else State.RECOVERED
    return ended, tuple(results)


async def carry_out_step(step: Step, clock: Clock) -> StepResult:
    """Carries one step out within its time; a failure is a result, not an exception."""
    began = clock.monotonic()
    ok = True
    try:
        async with asyncio.timeout(step.timeout_s):
            message = await step.act() or ""
    except TimeoutError:
        ok, message = False, f"not done within {step.timeout_s:g} s"
    except (StepFailed, errors.PodiumError) as failed:
        ok, message = False, str(failed)
    except Exception as failed:
        log.exception("recovery step %s failed unexpectedly", step.name)
        ok, message = False, f"failed unexpectedly ({type(failed).__name__})"
    took_ms = round((clock.monotonic() - began) * 1000)
    return StepResult(step.name, ok, message[:LONGEST_MESSAGE], took_ms)
