"""How the command ends: exit codes, and what is said about a problem and what to do."""

from __future__ import annotations

import json
import traceback

import click

from deploy.local import MeshProblem
from gateway.cli.terminal import Terminal
from libs import errors

OK = 0
RUN_NOT_COMPLETED = 1
USAGE = 2
NOT_FOUND = 3
UNAVAILABLE = 4
DENIED = 5
CONFLICT = 6
BUSY = 7
LATE = 8
INTERNAL = 70
INTERRUPTED = 130

EPILOG = """
\b
Exit codes:
  0    done
  1    the run ended, but not as completed
  2    wrong usage or invalid input
  3    not found
  4    the mesh is not reachable
  5    denied: API key missing, wrong, or not allowed
  6    conflict with what is there, or not possible in this state
  7    too busy, or over a limit
  8    not done in time
  70   an error inside the mesh
  130  interrupted; what was started goes on
"""

_CODES: list[tuple[type[Exception], int]] = [
    (errors.Invalid, USAGE),
    (errors.NotFound, NOT_FOUND),
    (errors.Unavailable, UNAVAILABLE),
    (errors.Unauthenticated, DENIED),
    (errors.PermissionDenied, DENIED),
    (errors.Conflict, CONFLICT),
    (errors.Aborted, CONFLICT),
    (errors.FailedPrecondition, CONFLICT),
    (errors.Exhausted, BUSY),
    (errors.DeadlineExceeded, LATE),
]


class Ended(Exception):
    """Leave with this exit code; everything worth saying was said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def explain(problem: Exception, terminal: Terminal) -> int:
    """Say what happened on stderr and answer the exit code."""
    if isinstance(problem, Ended):
        return problem.code
    if isinstance(problem, click.exceptions.Exit):
        return problem.exit_code
    if isinstance(problem, click.Abort):
        terminal.say("Interrupted.")
        return INTERRUPTED
    code = code_of(problem)
    if code == INTERNAL and not isinstance(problem, errors.PodiumError):
        terminal.say("".join(traceback.format_exception(problem)))
    if terminal.as_json:
        terminal.say(json.dumps({"error": _facts(problem)}, ensure_ascii=False))
    else:
        _say(problem, terminal)
    return code


def code_of(problem: Exception) -> int:
    """The exit code that stands for this problem."""
    if isinstance(problem, click.ClickException):
        return USAGE
    if isinstance(problem, MeshProblem):
        return UNAVAILABLE
    for kind, code in _CODES:
        if isinstance(problem, kind):
            return code
    return INTERNAL


def _facts(problem: Exception) -> dict[str, object]:
    facts: dict[str, object] = {
        "reason": getattr(problem, "reason", "") or type(problem).__name__.upper(),
        "message": _message(problem),
    }
    if violations := getattr(problem, "violations", None):
        facts["violations"] = [{"field": field, "why": why} for field, why in violations]
    return facts


def _say(problem: Exception, terminal: Terminal) -> None:
    terminal.say(f"Error: {_message(problem)}")
    for field, why in getattr(problem, "violations", None) or ():
        terminal.say(f"  {field}: {why}")
    if advice := _advice(problem, terminal):
        terminal.say(advice)


def _message(problem: Exception) -> str:
    if isinstance(problem, click.ClickException):
        return problem.format_message()
    return getattr(problem, "message", "") or str(problem)


def _advice(problem: Exception, terminal: Terminal) -> str:
    if isinstance(problem, click.UsageError) and problem.ctx:
        return f"Try `{problem.ctx.command_path} --help`."
    if isinstance(problem, errors.Unavailable) and not terminal.mesh_is_up():
        return "The mesh is not up: run `make up` (or `podium up`)."
    if isinstance(problem, errors.Unavailable):
        return "Look at `podium status`, and try again in a moment."
    if isinstance(problem, errors.Unauthenticated):
        return (
            "Set PODIUM_API_KEY, or point --home at the folder of the mesh: its first key is in"
            " secrets/api-key there."
        )
    if isinstance(problem, errors.Exhausted) and (wait := getattr(problem, "retry_after_s", None)):
        return f"Try again in {wait:g} s."
    return ""
