"""Server streams over HTTP: events (SSE), lines of JSON (NDJSON) or raw bytes."""

from __future__ import annotations

import asyncio
import logging
import mimetypes
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
from google.api import httpbody_pb2
from google.protobuf import message

from gateway import problem
from gateway.catalog import Method
from gateway.rest.answers import Answer
from gateway.rest.bodies import Receive
from gateway.rest.routes import Match
from gateway.rest.writing import as_json
from gateway.upstreams import Stream
from libs.errors import PodiumError

log = logging.getLogger(__name__)

SSE, NDJSON = "text/event-stream", "application/x-ndjson"
RECONNECT_MS = 1000
Opening = AbstractAsyncContextManager[Stream]


class Streaming:
    """Serves streams until they end, the client leaves or the process drains."""

    def __init__(self, keep_alive_s: float) -> None:
        self._keep_alive_s = keep_alive_s
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """End every stream; clients come back to another replica and resume."""
        self._draining.set()

    async def serve(
        self,
        opening: Opening,
        match: Match,
        headers: Mapping[str, str],
        receive: Receive,
        answer: Answer,
    ) -> None:
        """Serve one stream in the form that the contract and the client ask for."""
        ends = [asyncio.ensure_future(_gone(receive)), asyncio.ensure_future(self._draining.wait())]
        try:
            async with opening as stream:
                patient = _Patient(stream, ends, self._keep_alive_s)
                if match.route.method.is_raw:
                    await _raw(patient, match, answer)
                elif wants_ndjson(headers):
                    await _ndjson(patient, match.route.method, answer)
                else:
                    await _sse(patient, match.route.method, answer)
        finally:
            for end in ends:
                end.cancel()


class _Ended(Exception):
    """The client left, or this process drains."""


class _Patient:
    """Reads a stream while watching for the reasons to stop."""

    def __init__(self, stream: Stream, ends: list[asyncio.Future[Any]], patience_s: float) -> None:
        self._stream = stream
        self._ends = ends
        self._patience_s = patience_s

    async def next(self) -> bytes | None:
        """The next message, None at the end; TimeoutError when it is quiet."""
        reading = self._stream.reading
        await asyncio.wait(
            {reading, *self._ends}, timeout=self._patience_s, return_when="FIRST_COMPLETED"
        )
        if reading.done():
            return await self._stream.next()
        if any(end.done() for end in self._ends):
            raise _Ended
        raise TimeoutError


def wants_ndjson(headers: Mapping[str, str]) -> bool:
    """Whether the client prefers lines of JSON to events."""
    return NDJSON in headers.get("accept", "").lower()


async def _sse(patient: _Patient, method: Method, answer: Answer) -> None:
    plain = {"content-type": SSE, "cache-control": "no-store", "x-accel-buffering": "no"}
    await answer.begin(200, plain)
    await answer.piece(f"retry: {RECONNECT_MS}\n\n".encode())
    try:
        while True:
            try:
                received = await patient.next()
            except TimeoutError:
                await answer.piece(b": still here\n\n")
                continue
            if received is None:
                await answer.piece(event("end", b"{}"), is_last=True)
                return
            await answer.piece(_message_event(method.response.FromString(received)))
    except _Ended:
        # No "end" event: the browser reconnects and goes on after the last id it saw.
        await answer.piece(b"", is_last=True)
    except Exception as error:  # noqa: BLE001 - the client is told in the stream
        await answer.piece(event("error", _told(error, answer).as_json()), is_last=True)


async def _ndjson(patient: _Patient, method: Method, answer: Answer) -> None:
    await answer.begin(200, {"content-type": NDJSON, "cache-control": "no-store"})
    try:
        while True:
            try:
                received = await patient.next()
            except TimeoutError:
                continue  # An empty line would not be a JSON value.
            if received is None:
                await answer.piece(b"", is_last=True)
                return
            await answer.piece(as_json(method.response.FromString(received)) + b"\n")
    except _Ended:
        await answer.piece(b"", is_last=True)
    except Exception as error:  # noqa: BLE001 - the client is told in the stream
        line = orjson.dumps({"error": _told(error, answer).as_dict()}) + b"\n"
        await answer.piece(line, is_last=True)


async def _raw(patient: _Patient, match: Match, answer: Answer) -> None:
    """Bytes of one media type, never shown by the browser in our name.

    The first message must be there before the status is: its type is a header.
    """
    while True:
        try:
            received = await patient.next()
        except TimeoutError:
            continue
        except _Ended:
            return
        body = httpbody_pb2.HttpBody.FromString(received or b"")
        if not answer.begun:
            await answer.begin(200, _raw_headers(body.content_type, match))
        await answer.piece(body.data, is_last=received is None)
        if received is None:
            return


def _raw_headers(content_type: str, match: Match) -> dict[str, str]:
    is_plain = content_type.isascii() and content_type.isprintable()
    media_type = content_type if content_type and is_plain else "application/octet-stream"
    name = "".join(c for c in next(iter(match.values.values()), "") if c.isalnum() or c in "_-")
    extension = mimetypes.guess_extension(media_type.partition(";")[0]) or ""
    return {
        "content-type": media_type,
        "content-disposition": f'attachment; filename="{name or "content"}{extension}"',
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-store",
    }


def _message_event(received: message.Message) -> bytes:
    """A message as an event: its sequence is the id, its type the event's name."""
    sequence, name = _identity(received)
    return event(name or received.DESCRIPTOR.name, as_json(received), sequence)


def _identity(received: message.Message) -> tuple[str, str]:
    """Sequence and type of a message, or of the one message inside it."""
    fields = received.DESCRIPTOR.fields
    if len(fields) == 1 and fields[0].message_type is not None and not fields[0].is_repeated:
        return _identity(getattr(received, fields[0].name))
    known = received.DESCRIPTOR.fields_by_name
    sequence = str(getattr(received, "sequence")) if "sequence" in known else ""  # noqa: B009
    name = getattr(received, "type", "") if "type" in known else ""
    return sequence, name if isinstance(name, str) and name.isprintable() else ""


def event(name: str, data: bytes, id_: str = "") -> bytes:
    """One event of an event stream; JSON has no line breaks of its own."""
    head = f"id: {id_}\n" if id_ else ""
    return f"{head}event: {name}\n".encode() + b"data: " + data + b"\n\n"


def _told(error: Exception, answer: Answer) -> problem.Problem:
    told = problem.of(error, answer.request_id)
    if not isinstance(error, PodiumError):
        log.error("stream failed (%s)", told.error_id, exc_info=error)
    return told


async def _gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
