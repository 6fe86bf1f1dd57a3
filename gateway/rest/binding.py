"""One request message out of a path, a query string and a body."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson
from google.protobuf import descriptor, message

from gateway.rest import wellknown
from gateway.rest.reading import Reader, unknown
from gateway.rest.routes import Match
from libs import errors

DEEPEST_JSON = 64
MOST_PARAMETERS = 200
# Message types that one query parameter can hold.
TEXTUAL = {"google.protobuf.Timestamp", "google.protobuf.Duration"}

Field = descriptor.FieldDescriptor


def request_of(match: Match, query: str, body: bytes) -> message.Message:
    """The request; Invalid names every field that is wrong and why."""
    binding = match.route.binding
    request = match.route.method.request()
    strict, lenient = Reader(), Reader(lenient=True)
    if binding.body:
        payload = parse_json(body)
        if binding.body == "*":
            strict.fill(request, payload)
        else:
            field: Any = request.DESCRIPTOR.fields_by_name[binding.body]
            strict.set(request, field, payload, binding.body)
    elif body:
        raise errors.Invalid("", "this method takes no body", reason="UNEXPECTED_BODY")
    for name, text in match.values.items():
        _bind_path(lenient, request, name, text)
    for name, values in _parameters(query).items():
        if binding.body == "*":
            lenient.fault(name, "unknown query parameter; this method takes everything in the body")
        elif name in match.values or name.split(".")[0] == binding.body:
            lenient.fault(name, "is not a query parameter here")
        else:
            _bind_parameter(lenient, request, name, values)
    faults = [*strict.faults, *lenient.faults]
    if faults:
        raise errors.Invalid.many(faults)
    return request


def parse_json(body: bytes) -> Any:
    """The parsed body; an empty one means an empty object."""
    if not body:
        return {}
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        why = f"the body is not valid UTF-8 at byte {error.start}"
        raise errors.Invalid("", why, reason="INVALID_UTF8") from None
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "depth" in error.msg:
            raise _too_deep() from None
        why = f"the body is not valid JSON: {error.msg} at line {error.lineno}"
        raise errors.Invalid("", f"{why} column {error.colno}", reason="INVALID_JSON") from None
    # Few brackets cannot nest deeply, so most bodies are not walked.
    if body.count(b"{") + body.count(b"[") > DEEPEST_JSON:
        _refuse_deep(parsed)
    return parsed


def _refuse_deep(parsed: Any) -> None:
    """Walk without recursion: depth is exactly what cannot be trusted yet."""
    layer = [parsed]
    for _ in range(DEEPEST_JSON):
        below: list[Any] = []
        for value in layer:
            if isinstance(value, dict):
                below.extend(item for item in value.values() if isinstance(item, dict | list))
            elif isinstance(value, list):
                below.extend(item for item in value if isinstance(item, dict | list))
        layer = below
        if not layer:
            return
    raise _too_deep()


def _too_deep() -> errors.Invalid:
    return errors.Invalid(
        "", f"the body is nested more than {DEEPEST_JSON} deep", reason="NESTED_TOO_DEEPLY"
    )


def _bind_path(reader: Reader, request: message.Message, name: str, text: str) -> None:
    parent, field = _descend(reader, request, name)
    if field is None or parent is None:
        return
    before = getattr(parent, field.name)
    if before:
        setattr(parent, field.name, type(before)())
    reader.set(parent, field, text, name)
    if before and getattr(parent, field.name) != before:
        reader.fault(name, "the body says something else than the path")


def _parameters(query: str) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict"
        )
    except UnicodeDecodeError:
        raise errors.Invalid("", "the query string is not valid UTF-8") from None
    except ValueError:
        why = f"the query string has more than {MOST_PARAMETERS} parameters"
        raise errors.Invalid("", why) from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _bind_parameter(reader: Reader, request: message.Message, name: str, values: list[str]) -> None:
    parent, field = _descend(reader, request, name)
    if field is None or parent is None:
        return
    if field.message_type is not None and field.message_type.full_name not in TEXTUAL:
        reader.fault(name, "cannot be given in a query string")
    elif field.is_repeated:
        reader.set(parent, field, [_number_or_text(field, each) for each in values], name)
    elif len(values) > 1:
        reader.fault(name, "is given more than once")
    else:
        reader.set(parent, field, _number_or_text(field, values[0]), name)


def _number_or_text(field: Field, text: str) -> Any:
    """Enums may be given by number as well; other numbers are read from text anyway."""
    if field.enum_type is not None and text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    return text


def _descend(
    reader: Reader, request: message.Message, name: str
) -> tuple[message.Message | None, Field | None]:
    """The message and field that a dotted name means; a fault and nothing when there is none."""
    parent: Any = request
    *above, last = name.split(".")
    for part in above:
        field: Any = parent.DESCRIPTOR.fields_by_name.get(part)
        enterable = (
            field is not None
            and field.message_type is not None
            and not field.is_repeated
            and field.message_type.full_name not in wellknown.READERS
        )
        if not enterable:
            reader.fault(name[:200], f"unknown query parameter; there is no {part[:64]} to set")
            return None, None
        parent = getattr(parent, part)
    field = parent.DESCRIPTOR.fields_by_name.get(last)
    if field is None:
        why = unknown(last, parent.DESCRIPTOR).replace("field", "query parameter")
        reader.fault(name[:200], why)
    return parent, field
