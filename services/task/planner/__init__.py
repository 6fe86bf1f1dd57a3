"""Planners: from a goal in plain English to typed actions, one at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.task.schema import Step
from services.task.snapshot import Snapshot


@dataclass(frozen=True)
class Goal:
    """What is to be reached, and what may be used for it."""

    text: str
    has_credential: bool = False


@dataclass(frozen=True)
class Past:
    """An action already taken for this goal, free of secrets."""

    kind: str
    params: dict[str, Any]
    output: Any = None
    problem: str = ""
    page_mark: str = ""


Look = Callable[[], Awaitable[Snapshot]]


class Planner(Protocol):
    """Chooses the next action. What it cannot do it says with TaskFailure; it never guesses."""

    name: str
    # Whether a failed action is shown to the planner for another idea, or ends the task.
    recovers: bool

    async def next(self, goal: Goal, look: Look, past: Sequence[Past]) -> Step | None:
        """The next action; None when the goal is reached."""
        ...
