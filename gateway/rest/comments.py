"""The comments of the contracts, from the descriptor set that `deploy.gen` leaves with them."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2

# Field numbers of FileDescriptorProto and below, of which a comment's path consists.
MESSAGES, ENUMS, SERVICES = 4, 5, 6
METHODS, FIELDS, VALUES, NESTED, NESTED_ENUMS = 2, 2, 2, 3, 4


@cache
def comments() -> dict[str, str]:
    """The comment before each service, RPC, message, field, enum and value, by full name.

    A value of an enum is known by the enum's name and its own: "podium.run.v1.RunState.X".
    """
    stored = importlib.resources.files("podium").joinpath("descriptors.binpb").read_bytes()
    found: dict[str, str] = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(stored).file:
        names = dict(_names(file))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name and location.leading_comments:
                found[name] = _flowing(location.leading_comments)
    return found


def _names(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    for position, message in enumerate(file.message_type):
        yield from _message((MESSAGES, position), f"{file.package}.{message.name}", message)
    for position, enum in enumerate(file.enum_type):
        yield from _enum((ENUMS, position), f"{file.package}.{enum.name}", enum)
    for position, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        yield (SERVICES, position), name
        for number, rpc in enumerate(service.method):
            yield (SERVICES, position, METHODS, number), f"{name}.{rpc.name}"


def _message(path: tuple[int, ...], name: str, message: Any) -> Iterator[tuple[Any, str]]:
    yield path, name
    for position, field in enumerate(message.field):
        yield (*path, FIELDS, position), f"{name}.{field.name}"
    for position, nested in enumerate(message.nested_type):
        yield from _message((*path, NESTED, position), f"{name}.{nested.name}", nested)
    for position, enum in enumerate(message.enum_type):
        yield from _enum((*path, NESTED_ENUMS, position), f"{name}.{enum.name}", enum)


def _enum(path: tuple[int, ...], name: str, enum: Any) -> Iterator[tuple[Any, str]]:
    yield path, name
    for position, value in enumerate(enum.value):
        yield (*path, VALUES, position), f"{name}.{value.name}"


def _flowing(comment: str) -> str:
    """Paragraphs without the line breaks of the source."""
    paragraphs = comment.strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
