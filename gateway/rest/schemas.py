"""JSON Schemas of the messages of the contracts, as the REST door reads and writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor

from gateway.rest.comments import comments
from podium.common.v1 import call_pb2

Field = descriptor.FieldDescriptor
Schema = dict[str, Any]

INTEGER_64 = "A 64-bit integer; written as a string, read from a string or a number."
SCALARS: dict[int, Schema] = {
    Field.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    Field.CPPTYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    Field.CPPTYPE_INT64: {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"},
    Field.CPPTYPE_UINT64: {"type": "string", "format": "uint64", "pattern": "^[0-9]+$"},
    Field.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    Field.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
    Field.CPPTYPE_BOOL: {"type": "boolean"},
    Field.CPPTYPE_STRING: {"type": "string"},
}
WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$",
        "examples": ["90s"],
    },
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Value": {},
    "google.protobuf.Empty": {"type": "object"},
}


class Schemas:
    """Gathers the schemas of messages and of everything inside them, under short names."""

    def __init__(
        self, requests: Iterable[descriptor.Descriptor], answers: Iterable[descriptor.Descriptor]
    ) -> None:
        self.components: dict[str, Schema] = {}
        self._answered = reachable(answers)
        known = sorted({*reachable(requests), *self._answered})
        self._names = _short_names(known)

    def ref(self, described: Any) -> Schema:
        """A reference to the schema of a message or enum."""
        name = self._names[described.full_name]
        if name not in self.components:
            self.components[name] = {}  # Before its fields, which may lead back to it.
            is_enum = isinstance(described, descriptor.EnumDescriptor)
            made = self._enum(described) if is_enum else self.message(described)
            self.components[name] = made
        return {"$ref": f"#/components/schemas/{name}"}

    def message(self, described: descriptor.Descriptor, without: Iterable[str] = ()) -> Schema:
        """The schema of a message; fields that the path or the query give are left out."""
        left_out = set(without)
        fields = [field for field in described.fields if field.name not in left_out]
        schema: Schema = {
            "type": "object",
            "properties": {field.name: self.field(field) for field in fields},
        }
        if described.full_name not in self._answered:
            schema["additionalProperties"] = False  # Unknown fields are refused.
        notes = [comments().get(described.full_name, "")]
        for group in described.oneofs:
            names = [field.name for field in group.fields]
            if len(names) > 1:
                notes.append(f"At most one of {', '.join(names)} may be set.")
                schema.setdefault("x-one-of", []).append(names)
        schema["description"] = " ".join(filter(None, notes))
        return schema

    def field(self, field: Field) -> Schema:
        """The schema of a field, whatever it repeats."""
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            values = self._one(field.message_type.fields_by_name["value"])
            schema: Schema = {"type": "object", "additionalProperties": values}
        elif field.is_repeated:
            schema = {"type": "array", "items": self._one(field)}
        else:
            schema = dict(self._one(field))
        notes = [comments().get(field.full_name, "")]
        if field.cpp_type in (Field.CPPTYPE_INT64, Field.CPPTYPE_UINT64):
            notes.append(INTEGER_64)
        if any(notes):
            schema["description"] = " ".join(filter(None, notes))
        options: Any = field.GetOptions()
        if options.Extensions[call_pb2.secret]:
            schema["format"] = "password"
            holder = field.containing_type
            if holder is not None and holder.full_name not in self._answered:
                schema["writeOnly"] = True
        return schema

    def _one(self, field: Field) -> Schema:
        if field.message_type is not None:
            known = WELL_KNOWN.get(field.message_type.full_name)
            return known if known is not None else self.ref(field.message_type)
        if field.enum_type is not None:
            return self.ref(field.enum_type)
        if field.type == Field.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        return SCALARS[field.cpp_type]

    def _enum(self, described: descriptor.EnumDescriptor) -> Schema:
        names = [value.name for value in described.values]
        meanings = [
            f"- `{name}`: {meaning}"
            for name in names
            if (meaning := comments().get(f"{described.full_name}.{name}"))
        ]
        text = comments().get(described.full_name, "")
        return {
            "type": "string",
            "enum": names,
            "description": "\n".join([text, "", *meanings]).strip(),
        }


def reachable(roots: Iterable[descriptor.Descriptor]) -> set[str]:
    """Full names of the messages and enums that the roots lead to, the well-known ones apart."""
    found: set[str] = set()
    ahead: list[Any] = list(roots)
    while ahead:
        one = ahead.pop()
        if one.full_name in found or one.full_name in WELL_KNOWN:
            continue
        found.add(one.full_name)
        for field in getattr(one, "fields", ()):
            ahead.extend(kind for kind in (field.message_type, field.enum_type) if kind)
    return found


def _short_names(full_names: list[str]) -> dict[str, str]:
    """Run for podium.run.v1.Run; with the package in front when two share the short name."""
    short: dict[str, list[str]] = {}
    for full in full_names:
        short.setdefault(full.rpartition(".")[2], []).append(full)
    return {
        full: last if len(same) == 1 else full.replace("podium.", "").replace(".v1.", ".")
        for last, same in short.items()
        for full in same
    }
