"""Spans reach a backend as OTLP says, and a backend that is away is no trouble."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from libs.otlp import OtlpExporter


@pytest.fixture
def spans() -> list[ReadableSpan]:
    """A call and what it caused."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "run"}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("t")
    with (
        tracer.start_as_current_span("outer", kind=SpanKind.SERVER, attributes={"n": 1}),
        tracer.start_as_current_span("inner", attributes={"ok": True, "s": "x", "l": ["a"]}) as own,
    ):
        own.set_status(Status(StatusCode.ERROR))
    return list(kept.get_finished_spans())


@pytest.fixture
def backend() -> Iterator[tuple[str, list[tuple[str, dict]]]]:
    """Where a backend is, and what it was told."""
    told: list[tuple[str, dict]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.append((self.path, json.loads(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_backend_is_told_in_otlp(spans, backend):
    address, told = backend
    assert OtlpExporter(address + "/").export(spans) is SpanExportResult.SUCCESS
    ((path, body),) = told
    assert path == "/v1/traces"
    (resource,) = body["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "run"}} in resource["resource"][
        "attributes"
    ]
    inner, outer = resource["scopeSpans"][0]["spans"]
    assert inner["parentSpanId"] == outer["spanId"]
    assert inner["traceId"] == outer["traceId"]
    assert (inner["status"]["code"], outer["kind"], outer["parentSpanId"]) == (2, 2, "")
    assert int(outer["startTimeUnixNano"]) < int(outer["endTimeUnixNano"])
    assert outer["attributes"] == [{"key": "n", "value": {"intValue": "1"}}]
    values = {each["key"]: each["value"] for each in inner["attributes"]}
    assert values == {
        "ok": {"boolValue": True},
        "s": {"stringValue": "x"},
        "l": {"arrayValue": {"values": [{"stringValue": "a"}]}},
    }


def test_a_backend_that_is_away_is_named_once(spans, caplog):
    exporter = OtlpExporter("http://127.0.0.1:1")
    assert exporter.export(spans) is SpanExportResult.FAILURE
    assert exporter.export(spans) is SpanExportResult.FAILURE
    assert len(caplog.records) == 1
