"""Following a run live: the stream of its history, resumed when it breaks, shown line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC

import click

from gateway.cli.exits import INTERRUPTED, Ended
from gateway.cli.progress import Happening, Line, Progress
from gateway.cli.terminal import Terminal
from libs import errors
from libs.wire import as_dict
from podium.run.v1 import run_pb2

PATIENCE_S = 60.0
RETRY_S = 0.5
_MARKS = {
    "start": "[cyan]▸[/]",
    "open": "[cyan]▸[/]",
    "done": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "skipped": "[dim]–[/]",
    "note": "[yellow]•[/]",
}


def history(term: Terminal, run_id: str, after: int = 0) -> Iterator[run_pb2.RunEvent]:
    """The history of a run to its end; a stream that breaks is taken up where it was."""
    broken_since: float | None = None
    while True:
        request = run_pb2.WatchRunRequest(run_id=run_id, after_sequence=after)
        try:
            for update in term.edge.stream(term.edge.run.WatchRun, request):
                broken_since = None
                after = update.event.sequence
                yield update.event
            return
        except errors.Unavailable:
            now = term.clock.monotonic()
            broken_since = broken_since or now
            if after == 0 or now - broken_since > PATIENCE_S:
                raise
            term.pause(RETRY_S)


def follow(term: Terminal, run_id: str, after: int = 0) -> None:
    """Show a run live until it ends; Ctrl-C lets go of it without stopping it."""
    try:
        _show(term, run_id, after)
    except KeyboardInterrupt:
        term.say(
            f"\nDetached; the run goes on.\n  go on watching:  podium watch {run_id}\n"
            f"  stop it:         podium runs cancel {run_id}"
        )
        raise Ended(INTERRUPTED) from None


def _show(term: Terminal, run_id: str, after: int) -> None:
    if term.as_json:
        for event in history(term, run_id, after):
            click.echo(json.dumps(as_dict(event), ensure_ascii=False))
        return
    progress = Progress()
    with term.out.status("starting", spinner="dots") as status:
        for event in history(term, run_id, after):
            for line in progress.lines(happening(event)):
                if line.mark == "start":
                    status.update(line.text)
                else:
                    term.out.print(drawn(line))


def happening(event: run_pb2.RunEvent) -> Happening:
    """An event as plain data."""
    at = event.occurred_at.ToDatetime(tzinfo=UTC)
    return Happening(event.type, at, as_dict(event.data))


def drawn(line: Line) -> str:
    """A line as rich draws it."""
    took = "" if line.took_s is None else f"  [dim]{line.took_s:.2f} s[/]"
    text = line.text.replace("[", r"\[")
    return f"  {'  ' * line.depth}{_MARKS[line.mark]} {text}{took}"
