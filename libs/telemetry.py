"""Traces and structured logs, both with the context of the work they are about.

Spans go to one file of JSON lines for each process in the home's traces folder (`podium trace`
reads them). A line is written when its span ends, so a killed process loses only what was open.
Where PODIUM_OTLP_ENDPOINT names a trace backend, they go there as well.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from libs import context, otlp
from podium.common.v1 import event_pb2

_tracer = trace.get_tracer("podium")
_W3C = TraceContextTextMapPropagator()
# Attributes of a span that say what the work belongs to.
_CONTEXT_ATTRIBUTES = ("request_id", "organization_id", "run_id", "workflow_run_id", "task_id")


class FileExporter(SpanExporter):
    """Appends spans to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_APPEND makes each line's write atomic beside those of other processes.
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Writes the spans at once."""
        lines = b"".join(orjson.dumps(_as_dict(span)) + b"\n" for span in spans)
        os.write(self._file, lines)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Closes the file."""
        os.close(self._file)


class _Nowhere(SpanExporter):
    """Keeps nothing, where there is a backend and no folder."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        """Forgets the spans."""
        return SpanExportResult.SUCCESS


def _as_dict(span: ReadableSpan) -> dict[str, Any]:
    identity = span.context
    assert identity is not None
    return {
        "trace_id": f"{identity.trace_id:032x}",
        "span_id": f"{identity.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else "",
        "name": span.name,
        "kind": span.kind.name.lower(),
        "service": span.resource.attributes.get("service.name", ""),
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "status": span.status.status_code.name.lower(),
        "attributes": dict(span.attributes or {}),
    }


class _ContextProcessor(SimpleSpanProcessor):
    """Writes the context onto every span, instrumented ones included, when it ends."""

    def on_end(self, span: ReadableSpan) -> None:
        present = context.current()
        attributes = span._attributes
        if attributes is not None and not isinstance(attributes, dict):
            for name in _CONTEXT_ATTRIBUTES:
                if value := getattr(present, name):
                    attributes._dict.setdefault(f"podium.{name}", value)  # type: ignore[union-attr]
        super().on_end(span)


def start(
    service: str, replica: str, folder: Path | None, log_level: str, otlp_endpoint: str = ""
) -> None:
    """Sets up logs and, when there is a place for them, traces; once for each process."""
    _start_logs(service, replica, log_level)
    propagate.set_global_textmap(_W3C)
    if folder is None and not otlp_endpoint:
        return
    provider = TracerProvider(
        resource=Resource({"service.name": service, "service.instance.id": replica})
    )
    files = FileExporter(folder / f"{service}-{os.getpid()}.jsonl") if folder else _Nowhere()
    provider.add_span_processor(_ContextProcessor(files))
    if otlp_endpoint:
        provider.add_span_processor(otlp.processor(otlp_endpoint))
    trace.set_tracer_provider(provider)


@contextmanager
def span(name: str, **attributes: str | int | float | bool) -> Iterator[trace.Span]:
    """A span of one's own, with the context on it."""
    with _tracer.start_as_current_span(name, attributes=attributes) as opened:
        yield opened


def traceparent() -> str:
    """The present trace context as a W3C header; empty when there is no trace."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def continued(parent: str, name: str, **attributes: str | int) -> Iterator[trace.Span]:
    """A span that belongs to an earlier trace, given as a W3C header; for work taken up later."""
    earlier = _W3C.extract({"traceparent": parent}) if parent else None
    with _tracer.start_as_current_span(name, context=earlier, attributes=attributes) as opened:
        yield opened


def reaction(event: event_pb2.Event) -> Any:
    """The span of reacting to an event, in the trace of what caused it."""
    return continued(
        event.traceparent, f"react {event.type}", **{"podium.event_id": event.event_id}
    )


def count_messages(stream: str, events: Sequence[event_pb2.Event]) -> None:
    """Leaves a span for each published event in its trace, so that a run's cost can be counted."""
    for event in events:
        with (
            context.bind(run_id=event.run_id, organization_id=event.organization_id),
            continued(event.traceparent, f"publish {event.type}", stream=stream),
        ):
            pass


def count_commit(database: str, number: int) -> None:
    """Leaves a span for a unit's commit in its run's trace; units of one commit share a number."""
    if context.current().run_id:
        with span("commit", database=database, number=number):
            pass


class JsonFormatter(logging.Formatter):
    """A log line as JSON with the context; exceptions as one text."""

    def __init__(self, service: str, replica: str) -> None:
        super().__init__()
        self._identity = {"service": service, "replica": replica}

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            **self._identity,
            "logger": record.name,
            "message": record.getMessage(),
        }
        present = context.current()
        for name in _CONTEXT_ATTRIBUTES:
            if value := getattr(present, name):
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def _start_logs(service: str, replica: str, level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service, replica))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("aiohttp.access", "asyncio", "uvicorn.access", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
