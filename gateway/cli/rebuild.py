"""admin rebuild: are runs what their histories say? Compares them, and mends those that are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import click

from gateway.cli.commands import Command, terminal
from gateway.cli.exits import CONFLICT, OK, Ended
from gateway.cli.terminal import Terminal, as_dict
from podium.run.v1 import run_pb2

SOUND = ("identical", "repaired")
PAGE = 200


@click.command(cls=Command)
@click.option("--run", "run_id", default="", help="Only this run; all of the organisation else.")
@click.option("--verify", is_flag=True, help="Only compare; change nothing.")
@terminal
def rebuild(term: Terminal, run_id: str, verify: bool) -> None:
    """Rebuild runs from their histories and compare, value by value, with what is stored.

    Also checks that no history has a gap and that every chain of hashes holds. Rows that differ are
    written anew unless --verify is given. Exit code 6 when something is not what it should be.
    """
    counts: Counter[str] = Counter()
    wrong: list[dict[str, Any]] = []
    events = 0
    for found in _answers(term, [run_id] if run_id else _every_run(term), verify):
        result = _word(found)
        counts[result] += 1
        events += found.event_count
        if result != "identical":
            wrong.append(as_dict(found) | {"result": result})
            term.tell(_line(found))
    if term.as_json:
        term.emit({"runs": counts.total(), "events": events, **counts, "not_identical": wrong})
    else:
        tally = ", ".join(f"{number} {word.replace('_', ' ')}" for word, number in counts.items())
        term.tell(f"{counts.total()} runs with {events} events: {tally or 'nothing to compare'}")
    raise Ended(OK if all(word in SOUND for word in counts) else CONFLICT)


def _answers(
    term: Terminal, run_ids: Iterable[str], verify: bool
) -> Iterator[run_pb2.RebuildRunResponse]:
    for run_id in run_ids:
        request = run_pb2.RebuildRunRequest(run_id=run_id, verify_only=verify)
        yield term.edge.ask(term.edge.run.RebuildRun, request, timeout_s=65)


def _every_run(term: Terminal) -> Iterator[str]:
    """Page by page, so that any number of runs can be gone through."""
    request = run_pb2.ListRunsRequest(page_size=PAGE)
    while True:
        page = term.edge.ask(term.edge.run.ListRuns, request)
        for run in page.runs:
            yield run.run_id
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _word(found: run_pb2.RebuildRunResponse) -> str:
    return run_pb2.RebuildResult.Name(found.result).removeprefix("REBUILD_RESULT_").lower()


def _line(found: run_pb2.RebuildRunResponse) -> str:
    where = found.difference
    return (
        f"{found.run_id}  {_word(found).replace('_', ' ')} at {where.place}:"
        f" stored {where.stored}, by its history {where.rebuilt}"
    )
