"""sessions act: explicit actions in a session's page, at once and without a run."""

from __future__ import annotations

from typing import IO, Any

import click
import yaml

from gateway.cli.commands import Command, terminal
from gateway.cli.exits import OK, RUN_NOT_COMPLETED, Ended
from gateway.cli.terminal import Terminal
from gateway.cli.views import control_option
from libs.wire import as_dict, duration
from podium.task.v1 import task_pb2 as pb

USUAL_S = 60.0
MARGIN_S = 30.0


@click.command(cls=Command)
@click.argument("session")
@click.argument("file", type=click.File(), default="-")
@control_option
@click.option("--credential", default="", help="For actions that sign in (cred_…).")
@click.option("--timeout", type=float, default=USUAL_S, show_default=True, help="In seconds.")
@terminal
def act(
    term: Terminal, session: str, file: IO[str], control: str, credential: str, timeout: float
) -> None:
    """Carry out a list of actions (YAML or JSON, from a file or the standard input) at once.

    The first that fails is the last; then the exit code is that of a run that did not complete.
    """
    request = pb.ExecuteActionsRequest(
        browser_session_id=session,
        control_id=control,
        credential_id=credential,
        timeout=duration(timeout),
    )
    for action in _actions(file):
        request.actions.add().update(action)
    done = term.edge.ask(term.edge.task.ExecuteActions, request, timeout_s=timeout + MARGIN_S)
    if term.as_json:
        term.emit(as_dict(done))
    else:
        for action in done.actions:
            what = "done" if action.succeeded else action.failure.message
            term.tell(f"{action.number:>3}  {action.kind:<10}  {action.duration_ms:>6} ms  {what}")
        term.tell(f"{done.url}  {done.title}")
    raise Ended(OK if done.completed else RUN_NOT_COMPLETED)


def _actions(file: IO[str]) -> list[dict[str, Any]]:
    try:
        found = yaml.safe_load(file.read())
    except yaml.YAMLError as why:
        raise click.UsageError(f"{file.name}: {why}") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise click.UsageError(f'{file.name}: must be a list such as [{{"kind": "click", …}}]')
    return found
