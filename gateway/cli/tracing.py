"""trace: what a run did across the services, span by span, as a waterfall."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from rich.markup import escape

from gateway.cli import spans
from gateway.cli.commands import Command, terminal
from gateway.cli.terminal import Terminal
from libs import errors

BAR_WIDTH = 28
_RPC = re.compile(r"/podium\.(\w+)\.v1\.\w+/(\w+)")


@click.command(cls=Command)
@click.argument("run_id")
@terminal
def trace(term: Terminal, run_id: str) -> None:
    """Print the spans of a run across services as a waterfall (local mesh)."""
    found = spans.of_run(term.home / "traces", run_id)
    if not found:
        raise errors.NotFound(f"there are no spans of {run_id} in {term.home / 'traces'}")
    roots = spans.tree(found)
    if term.as_json:
        total = spans.cost(found)
        term.emit({"run_id": run_id, "cost": total, "spans": [root.as_dict() for root in roots]})
        return
    term.tell(f"{run_id}: {len(found)} spans")
    for line in waterfall(roots):
        term.out.print(line)
    term.tell(summary(spans.cost(found)))


def waterfall(roots: list[spans.Span]) -> list[str]:
    """Each span below what caused it, with its place in the time of the whole; one line each."""
    every = [one for root in roots for one in _below(root)]
    began, ended = min(one.start_ns for one in every), max(one.end_ns for one in every)
    lines = [f"[bold]{'':{BAR_WIDTH}} {'at ms':>9} {'took ms':>9}  span[/]"]
    for root in roots:
        lines += _drawn(root, 0, began, max(1, ended - began))
    return lines


def _below(span: spans.Span) -> Iterator[spans.Span]:
    yield span
    for child in span.children:
        yield from _below(child)


def _drawn(span: spans.Span, depth: int, began_ns: int, whole_ns: int) -> list[str]:
    at_ns = span.start_ns - began_ns
    first = min(BAR_WIDTH - 1, BAR_WIDTH * at_ns // whole_ns)
    last = BAR_WIDTH * (span.end_ns - began_ns) // whole_ns
    bar = f"{' ' * first}{'━' * max(1, last - first)}"
    colour = "red" if span.status == "error" else "cyan"
    line = f"[{colour}]{bar:{BAR_WIDTH}}[/] {at_ns / 1e6:9.1f} {span.took_ms:9.1f}  {'  ' * depth}"
    line += f"[bold]{escape(span.service)}[/] {escape(_short(span.name))}"
    if remark := _remark(span):
        line += f"  [dim]{remark}[/]"
    below = (_drawn(child, depth + 1, began_ns, whole_ns) for child in span.children)
    return [line, *(one for lines in below for one in lines)]


def _short(name: str) -> str:
    """An RPC as `podium call` knows it, "run.CreateRun"; other names as they are."""
    found = _RPC.fullmatch(name)
    return ".".join(found.groups()) if found else name


def _remark(span: spans.Span) -> str:
    """What a span's own time does not show: the way through Envoy, the hand-over by the bus."""
    if span.status == "error":
        return "failed"
    if span.name.startswith("react "):
        return "over the bus"
    answered = [child for child in span.children if child.kind == "server"]
    if span.kind == "client" and len(answered) == 1:
        return f"{span.took_ms - answered[0].took_ms:.1f} on the way, by Envoy"
    return ""


def summary(cost: dict) -> str:
    """The cost of a run in one line."""
    by_service = ", ".join(f"{name} {n}" for name, n in cost["grpc_calls_by_service"].items())
    return (
        f"{cost['grpc_calls']} gRPC calls ({by_service}), {cost['commits']} commits,"
        f" {cost['bus_messages']} bus messages"
    )
