"""trace: what a run did across the services, span by span."""

from __future__ import annotations

import click
from rich.markup import escape
from rich.tree import Tree

from gateway.cli import spans
from gateway.cli.commands import Command, terminal
from gateway.cli.terminal import Terminal
from libs import errors


@click.command(cls=Command)
@click.argument("run_id")
@terminal
def trace(term: Terminal, run_id: str) -> None:
    """Print the spans of a run across services with their times (local mesh)."""
    found = spans.of_run(term.home / "traces", run_id)
    if not found:
        raise errors.NotFound(f"there are no spans of {run_id} in {term.home / 'traces'}")
    roots = spans.tree(found)
    if term.as_json:
        total = spans.cost(found)
        term.emit({"run_id": run_id, "cost": total, "spans": [root.as_dict() for root in roots]})
        return
    began = found[0].start_ns
    drawing = Tree(f"[bold]{run_id}[/]  {len(found)} spans")
    for root in roots:
        _draw(drawing, root, began)
    term.out.print(drawing)
    term.tell(summary(spans.cost(found)))


def _draw(parent: Tree, span: spans.Span, began_ns: int) -> None:
    at_ms = (span.start_ns - began_ns) / 1e6
    failed = " [red]failed[/]" if span.status == "error" else ""
    branch = parent.add(
        f"[cyan]{escape(span.service)}[/] {escape(span.name)}"
        f"  [dim]at {at_ms:.1f} ms, took {span.took_ms:.1f} ms[/]{failed}"
    )
    for child in span.children:
        _draw(branch, child, began_ns)


def summary(cost: dict) -> str:
    """The cost of a run in one line."""
    by_service = ", ".join(f"{name} {n}" for name, n in cost["grpc_calls_by_service"].items())
    return (
        f"{cost['grpc_calls']} gRPC calls ({by_service}), {cost['commits']} commits,"
        f" {cost['bus_messages']} bus messages"
    )
