"""trace: what a run did across the services, span by span, as a waterfall."""

from __future__ import annotations

from collections.abc import Iterator

import click
from rich.markup import escape
from rich.table import Table

from gateway.cli import spans
from gateway.cli.commands import Command, terminal
from gateway.cli.terminal import Terminal
from libs import errors

BAR_WIDTH = 32


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
    term.out.print(waterfall(roots))
    term.tell(summary(spans.cost(found)))


def waterfall(roots: list[spans.Span]) -> Table:
    """Each span below what caused it, with its place in the time of the whole."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("span", overflow="fold")
    table.add_column("", width=BAR_WIDTH, no_wrap=True)
    for heading in ("at ms", "took ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    every = [one for root in roots for one in _below(root)]
    began, ended = min(one.start_ns for one in every), max(one.end_ns for one in every)
    for root in roots:
        _draw(table, root, 0, began, max(1, ended - began))
    return table


def _below(span: spans.Span) -> Iterator[spans.Span]:
    yield span
    for child in span.children:
        yield from _below(child)


def _draw(table: Table, span: spans.Span, depth: int, began_ns: int, whole_ns: int) -> None:
    first = BAR_WIDTH * (span.start_ns - began_ns) // whole_ns
    last = BAR_WIDTH * (span.end_ns - began_ns) // whole_ns
    first = min(first, BAR_WIDTH - 1)
    colour = "red" if span.status == "error" else "cyan"
    table.add_row(
        f"{'  ' * depth}[bold]{escape(span.service)}[/] {escape(span.name)}",
        f"{' ' * first}[{colour}]{'━' * max(1, last - first)}[/]",
        f"{(span.start_ns - began_ns) / 1e6:.1f}",
        f"{span.took_ms:.1f}",
        f"[dim]{_remark(span)}[/]",
    )
    for child in span.children:
        _draw(table, child, depth + 1, began_ns, whole_ns)


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
