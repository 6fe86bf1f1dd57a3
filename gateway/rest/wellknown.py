"""The well-known types that JSON writes in a form of their own: times, durations, free JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2

# Readers of protobuf refuse messages that are nested more than 100 deep. An object of a Struct
# takes three of them and a list two; the rest is for the messages around it on later hops.
DEEPEST_FREE_JSON = 80
OBJECT_DEPTH, LIST_DEPTH = 3, 2
# Struct keeps numbers as doubles: beyond this an integer would silently lose digits.
LARGEST_EXACT_INTEGER = 2**53

Read = Callable[[Any, Any], None]


class Misfit(Exception):
    """A value that its type cannot hold; `where` is the path below the field itself."""

    def __init__(self, why: str, where: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.where = where


def read_timestamp(target: timestamp_pb2.Timestamp, value: Any) -> None:
    """An RFC 3339 date and time with an offset."""
    try:
        target.FromJsonString(value)
        target.ToJsonString()  # Refuses what is outside the years 1 to 9999.
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise Misfit('must be an RFC 3339 time such as "2026-01-31T12:00:00Z"') from None


def read_duration(target: duration_pb2.Duration, value: Any) -> None:
    """Seconds with up to nine decimals and an "s"."""
    try:
        target.FromJsonString(value)
        target.ToJsonString()
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise Misfit('must be a duration in seconds such as "90s" or "1.5s"') from None


def read_struct(target: struct_pb2.Struct, value: Any) -> None:
    """Any JSON object."""
    if not isinstance(value, dict):
        raise Misfit("must be an object")
    _fill_struct(target, value, "", 1)


def read_list(target: struct_pb2.ListValue, value: Any) -> None:
    """Any JSON list."""
    if not isinstance(value, list):
        raise Misfit("must be a list")
    _fill_list(target, value, "", 1)


def read_value(target: struct_pb2.Value, value: Any) -> None:
    """Any JSON."""
    _fill_value(target, value, "", 1)


def _fill_struct(target: struct_pb2.Struct, value: dict, where: str, depth: int) -> None:
    for key, item in value.items():
        # A key is a client's own text; the path shows enough of it to be found.
        _fill_value(target.fields[key], item, f"{where}.{key[:64]}", depth + OBJECT_DEPTH)


def _fill_list(target: struct_pb2.ListValue, value: list, where: str, depth: int) -> None:
    for position, item in enumerate(value):
        _fill_value(target.values.add(), item, f"{where}[{position}]", depth + LIST_DEPTH)


def _fill_value(target: struct_pb2.Value, value: Any, where: str, depth: int) -> None:
    if depth > DEEPEST_FREE_JSON:
        most = DEEPEST_FREE_JSON // OBJECT_DEPTH
        raise Misfit(f"is nested too deeply; free JSON may be about {most} objects deep", where)
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, int | float):
        if isinstance(value, int) and abs(value) > LARGEST_EXACT_INTEGER:
            raise Misfit("is too large an integer to be exact; send it as a string", where)
        target.number_value = value
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        _fill_struct(target.struct_value, value, where, depth)
    else:
        target.list_value.SetInParent()
        _fill_list(target.list_value, value, where, depth)


READERS: dict[str, Read] = {
    "google.protobuf.Timestamp": read_timestamp,
    "google.protobuf.Duration": read_duration,
    "google.protobuf.Struct": read_struct,
    "google.protobuf.ListValue": read_list,
    "google.protobuf.Value": read_value,
}
