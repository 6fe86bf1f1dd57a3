"""The spans of one run, read from the trace files of a local mesh: a tree, and what it cost."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Span:
    """One piece of work, with what it caused."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    service: str
    start_ns: int
    end_ns: int
    status: str
    attributes: dict[str, Any]
    children: list[Span] = field(default_factory=list)

    @property
    def took_ms(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e6

    def as_dict(self) -> dict[str, Any]:
        """The span and what is below it as JSON-ready data."""
        return {
            "name": self.name,
            "service": self.service,
            "kind": self.kind,
            "status": self.status,
            "start_ns": self.start_ns,
            "took_ms": round(self.took_ms, 3),
            "attributes": self.attributes,
            "children": [child.as_dict() for child in self.children],
        }


def of_run(folder: Path, run_id: str) -> list[Span]:
    """Every span of the traces that carry the run, in the order in which they began."""
    spans, traces = [], set()
    for span in _read(folder):
        spans.append(span)
        if span.attributes.get("podium.run_id") == run_id:
            traces.add(span.trace_id)
    mine = [span for span in spans if span.trace_id in traces and _is_about(span, run_id)]
    return sorted(mine, key=lambda span: span.start_ns)


def _is_about(span: Span, run_id: str) -> bool:
    """A client may start several runs in one trace; what names another run is not this one's."""
    return span.attributes.get("podium.run_id", run_id) == run_id


def _read(folder: Path) -> Iterator[Span]:
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            try:
                yield Span(**json.loads(line))
            except (ValueError, TypeError):
                continue  # The last line of a process that was killed while it wrote.


def tree(spans: list[Span]) -> list[Span]:
    """The roots, each with its children in order; a span whose parent is not known is a root."""
    by_id = {span.span_id: span for span in spans}
    roots = []
    for span in spans:
        parent = by_id.get(span.parent_id)
        (parent.children if parent else roots).append(span)
    return roots


def cost(spans: list[Span]) -> dict[str, Any]:
    """What a run cost: gRPC calls, commits, bus messages; and how they spread over services."""
    counted: dict[str, int] = {"grpc_calls": 0, "commits": 0, "bus_messages": 0}
    calls: defaultdict[str, int] = defaultdict(int)
    for span in spans:
        # The server's side of a call is counted: each call has one, however it was routed.
        if span.kind == "server":
            counted["grpc_calls"] += 1
            calls[span.service] += 1
        elif span.name.startswith("commit"):
            counted["commits"] += 1
        elif span.name.startswith("publish "):
            counted["bus_messages"] += 1
    return {**counted, "grpc_calls_by_service": dict(sorted(calls.items()))}
