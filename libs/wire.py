"""Plain values to and from protobuf's well-known types, the same for every service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, overload

from google.protobuf import duration_pb2, json_format, struct_pb2, timestamp_pb2
from google.protobuf.message import Message

from libs import errors
from podium.common.v1 import call_pb2

M = TypeVar("M", bound=Message)

# Above this a double no longer tells neighbouring integers apart.
LARGEST_EXACT = 2**53


@overload
def timestamp(moment: datetime) -> timestamp_pb2.Timestamp: ...
@overload
def timestamp(moment: datetime | None) -> timestamp_pb2.Timestamp | None: ...
def timestamp(moment: datetime | None) -> timestamp_pb2.Timestamp | None:
    """A moment; unset when there is none."""
    if moment is None:
        return None
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(moment)
    return message


def moment(stamp: timestamp_pb2.Timestamp) -> datetime:
    """A timestamp as an aware time."""
    return stamp.ToDatetime(UTC)


def duration(seconds: float) -> duration_pb2.Duration:
    """A length of time, to the millisecond."""
    message = duration_pb2.Duration()
    message.FromMilliseconds(round(seconds * 1000))
    return message


def span(field: str, message: duration_pb2.Duration) -> timedelta:
    """A length of time that came in; Invalid for one that no clock can hold."""
    try:
        return message.ToTimedelta()
    except (ValueError, OverflowError):
        raise errors.Invalid(field, "is not a length of time") from None


def seconds(field: str, message: duration_pb2.Duration, *, most: float) -> float:
    """A length of time that came in and must be positive and at most `most` seconds."""
    length = span(field, message).total_seconds()
    if not 0 < length <= most:
        raise errors.Invalid(field, f"must be more than 0 and at most {most:g} seconds")
    return length


def struct(data: Mapping[str, Any]) -> struct_pb2.Struct:
    """A JSON object as a message."""
    message = struct_pb2.Struct()
    for key, item in data.items():
        _fill(message.fields[key], item)
    return message


def value(data: Any) -> struct_pb2.Value:
    """Any JSON value as a message."""
    message = struct_pb2.Value()
    _fill(message, data)
    return message


def _fill(target: struct_pb2.Value, data: Any) -> None:
    if data is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(data, bool):
        target.bool_value = data
    elif isinstance(data, int | float):
        target.number_value = data
    elif isinstance(data, str):
        target.string_value = data
    elif isinstance(data, Mapping):
        target.struct_value.SetInParent()
        for key, item in data.items():
            _fill(target.struct_value.fields[key], item)
    else:
        target.list_value.SetInParent()
        for item in data:
            _fill(target.list_value.values.add(), item)


@overload
def plain(message: struct_pb2.Struct) -> dict[str, Any]: ...
@overload
def plain(message: struct_pb2.Value) -> Any: ...
def plain(message: struct_pb2.Struct | struct_pb2.Value) -> Any:
    """What `struct` or `value` was given; a message knows only floats, 3.0 comes back as 3."""
    if isinstance(message, struct_pb2.Struct):
        return {key: plain(item) for key, item in message.fields.items()}
    kind = message.WhichOneof("kind")
    if kind == "struct_value":
        return plain(message.struct_value)
    if kind == "list_value":
        return [plain(item) for item in message.list_value.values]
    if kind == "number_value":
        return _whole(message.number_value)
    return None if kind in (None, "null_value") else getattr(message, kind)


def as_dict(message: Message) -> dict[str, Any]:
    """Any message as JSON-ready data under the names of its contract, whole numbers as integers."""
    return _whole(json_format.MessageToDict(message, preserving_proto_field_name=True))


def without_secrets(message: M) -> M:
    """A copy that lacks every field which its contract calls a secret."""
    bare = type(message)()
    bare.CopyFrom(message)
    _clear_secrets(bare)
    return bare


def _clear_secrets(message: Message) -> None:
    for field, held in message.ListFields():
        options: Any = field.GetOptions()
        if options.Extensions[call_pb2.secret]:
            message.ClearField(field.name)
        elif field.message_type is not None:
            if isinstance(held, Message):
                _clear_secrets(held)
                continue
            entries = held.values() if field.message_type.GetOptions().map_entry else held
            for entry in entries:
                if isinstance(entry, Message):
                    _clear_secrets(entry)


def _whole(data: Any) -> Any:
    if isinstance(data, float):
        return int(data) if data.is_integer() and abs(data) <= LARGEST_EXACT else data
    if isinstance(data, dict):
        return {key: _whole(item) for key, item in data.items()}
    return [_whole(item) for item in data] if isinstance(data, list) else data
