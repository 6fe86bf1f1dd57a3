"""Spans for a trace backend: OTLP over HTTP, written as JSON, which every collector takes.

A backend that is away costs nothing but its spans: they are sent in the background and dropped when
nobody takes them.
"""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

TIMEOUT_S = 3.0
SEND_EVERY_MS = 1_000
KINDS = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}
STATUS = {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}
log = logging.getLogger(__name__)


def processor(endpoint: str) -> BatchSpanProcessor:
    """Sends spans to an endpoint such as "http://jaeger:4318", many at once."""
    return BatchSpanProcessor(OtlpExporter(endpoint), schedule_delay_millis=SEND_EVERY_MS)


class OtlpExporter(SpanExporter):
    """Posts spans to one backend."""

    def __init__(self, endpoint: str) -> None:
        self._url = f"{endpoint.rstrip('/')}/v1/traces"
        # The backend is a part of the mesh: no proxy of the environment stands before it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._was_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Posts the spans; what is not taken is dropped."""
        body = orjson.dumps({"resourceSpans": [_of_process(spans)]})
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - our own setting
        try:
            with self._opener.open(request, timeout=TIMEOUT_S):
                self._was_away = False
        except OSError as error:
            if not self._was_away:
                log.warning("the trace backend does not take spans: %s", error)
            self._was_away = True
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


def _of_process(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    return {
        "resource": {"attributes": _attributes(spans[0].resource.attributes)},
        "scopeSpans": [{"scope": {"name": "podium"}, "spans": [_span(span) for span in spans]}],
    }


def _span(span: ReadableSpan) -> dict[str, Any]:
    identity = span.context
    assert identity is not None
    return {
        "traceId": f"{identity.trace_id:032x}",
        "spanId": f"{identity.span_id:016x}",
        "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else "",
        "name": span.name,
        "kind": KINDS[span.kind],
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "status": {"code": STATUS[span.status.status_code]},
    }


def _attributes(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in found.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [_value(each) for each in value]}}
