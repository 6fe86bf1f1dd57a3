"""Resuming a stream where a browser's EventSource lost it."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import message

from libs import errors

HEADER = "last-event-id"
FIELD = "after_sequence"


def resume(request: message.Message, headers: Mapping[str, str]) -> None:
    """Let the stream go on after the last event the client saw.

    EventSource repeats the URL it began with, so the header is the newer word.
    """
    seen = headers.get(HEADER, "")
    if not seen or FIELD not in request.DESCRIPTOR.fields_by_name:
        return
    if not (seen.isascii() and seen.isdigit() and len(seen) <= 18):
        raise errors.Invalid("Last-Event-ID", "must be the id of an event of this stream")
    setattr(request, FIELD, max(int(seen), getattr(request, FIELD)))
