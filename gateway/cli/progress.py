"""A run's history as a person follows it: one line for each block, with its time.

Pure: events in, lines out. The terminal decides how they look.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# Their own lines come before those of the blocks inside them.
CONTAINERS = {"for_loop", "conditional"}


@dataclass(frozen=True)
class Happening:
    """One event of the history, as plain data."""

    type: str
    at: datetime
    data: dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One line to print."""

    mark: str  # "start", "open", "done", "failed", "skipped", "note"
    text: str
    took_s: float | None = None
    depth: int = 0


@dataclass
class Progress:
    """Follows one run; `lines` turns each event into what is worth saying about it."""

    started: dict[str, datetime] = field(default_factory=dict)
    began: datetime | None = None

    def lines(self, event: Happening) -> Iterable[Line]:
        """The lines for one event, most often none or one."""
        self.began = self.began or event.at
        teller = _TELLERS.get(event.type)
        return teller(self, event) if teller else ()

    def _block_started(self, event: Happening) -> Iterable[Line]:
        path = _path(event)
        self.started[path] = event.at
        opens = event.data.get("kind") in CONTAINERS
        yield Line("open" if opens else "start", _block_title(event), depth=path.count("."))

    def _block_finished(self, event: Happening) -> Iterable[Line]:
        path = _path(event)
        begun = self.started.pop(path, event.at)
        state = str(event.data.get("state", "completed")).rpartition("STATE_")[2].lower()
        mark = {"completed": "done", "skipped": "skipped"}.get(state, "failed")
        text = _block_title(event)
        if mark == "failed":
            text += f": {_why(event.data) or state}"
        took_s = None if mark == "skipped" else (event.at - begun).total_seconds()
        yield Line(mark, text, took_s, path.count("."))

    def _code_required(self, event: Happening) -> Iterable[Line]:
        where = event.data.get("identifier")
        if event.data.get("rejected"):
            yield Line("note", "the site refused the one-time code")
        if where:
            how = f"podium totp type {event.data.get('challenge_id', '')}"
            yield Line("note", f"waits for a one-time code sent to {where} ({how})")

    def _step_failed(self, event: Happening) -> Iterable[Line]:
        # What fails while blocks are carried out was told with its block.
        if event.data.get("step") != "execute_workflow":
            yield Line("failed", f"{event.data.get('step')}: {_why(event.data)}")

    def _compensated(self, event: Happening) -> Iterable[Line]:
        yield Line("note", f"undone: {event.data.get('step')}")

    def _not_compensated(self, event: Happening) -> Iterable[Line]:
        yield Line("failed", f"could not undo {event.data.get('step')}: {_why(event.data)}")

    def _pausing(self, _: Happening) -> Iterable[Line]:
        yield Line("note", "will pause at the next block boundary")

    def _paused(self, _: Happening) -> Iterable[Line]:
        yield Line("note", "paused")

    def _resumed(self, _: Happening) -> Iterable[Line]:
        yield Line("note", "goes on")

    def _crashed(self, _: Happening) -> Iterable[Line]:
        yield Line("note", "the browser crashed")

    def _recovered(self, _: Happening) -> Iterable[Line]:
        yield Line("note", "the browser died and was replaced")


_TELLERS = {
    "block.started": Progress._block_started,
    "block.finished": Progress._block_finished,
    "totp.required": Progress._code_required,
    "saga.step_failed": Progress._step_failed,
    "saga.step_compensated": Progress._compensated,
    "saga.step_compensation_failed": Progress._not_compensated,
    "run.pause_requested": Progress._pausing,
    "run.paused": Progress._paused,
    "run.resumed": Progress._resumed,
    "browser_session.crashed": Progress._crashed,
    "browser_session.recovered": Progress._recovered,
}


def _path(event: Happening) -> str:
    return str(event.data.get("block_path") or event.data.get("label") or "?")


def _block_title(event: Happening) -> str:
    kind = event.data.get("kind", "")
    return f"{_path(event)} ({kind})" if kind else _path(event)


def _why(data: dict[str, Any]) -> str:
    failure = data.get("failure")
    if isinstance(failure, dict):
        return str(failure.get("message") or failure.get("reason") or "")
    return str(data.get("message") or data.get("reason") or failure or "")
