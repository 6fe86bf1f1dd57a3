"""NUL in a text is refused: PostgreSQL does not store it, and to C libraries it is an end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from libs import errors

NUL = "\0"
WHY = "must not contain a NUL character"


def check(request: Message) -> None:
    """Refuses a request with a NUL in a text, and names the fields."""
    # Nearly no request has such a byte at all, and this is the cheapest way to see that.
    if b"\0" not in request.SerializeToString():
        return
    if found := list(_nuls(request, "")):
        raise errors.Invalid.many([(path, WHY) for path in found])


def _nuls(message: Message, path: str) -> Iterator[str]:
    """The paths of the texts below a message that contain a NUL, as a client would write them."""
    if isinstance(message, struct_pb2.Struct):
        yield from _in_map(message.fields, path)
    elif isinstance(message, struct_pb2.ListValue):
        yield from _in_list(message.values, path)
    elif isinstance(message, struct_pb2.Value):
        for _field, value in message.ListFields():
            yield from _in_value(value, path)
    else:
        for field, value in message.ListFields():
            yield from _in_field(field, value, f"{path}.{field.name}" if path else field.name)


def _in_field(field: FieldDescriptor, value: Any, path: str) -> Iterator[str]:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        yield from _in_map(value, path)
    elif not isinstance(value, str | bytes | Message) and hasattr(value, "__len__"):
        yield from _in_list(value, path)
    else:
        yield from _in_value(value, path)


def _in_map(values: Any, path: str) -> Iterator[str]:
    for key in values:
        if isinstance(key, str) and NUL in key:
            yield path
        else:
            yield from _in_value(values[key], f"{path}.{key}" if path else str(key))


def _in_list(values: Any, path: str) -> Iterator[str]:
    for at, value in enumerate(values):
        yield from _in_value(value, f"{path}[{at}]")


def _in_value(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Message):
        yield from _nuls(value, path)
    elif isinstance(value, str) and NUL in value:
        yield path
