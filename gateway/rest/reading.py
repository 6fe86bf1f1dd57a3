"""JSON to protobuf, strictly: every fault is told with the path of its field and the reason."""

from __future__ import annotations

import base64
import binascii
import difflib
import math
import re
from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor, json_format, message

from gateway.rest import wellknown

MOST_FAULTS = 20
INTEGERS = {
    descriptor.FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    descriptor.FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    descriptor.FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    descriptor.FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
# ProtoJSON's spelling of the numbers that JSON has none for.
UNUSUAL_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
DECIMAL = re.compile(r"-?\d{1,20}", re.ASCII)
NUMBER = re.compile(r"-?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,4})?", re.ASCII)
LARGEST_FLOAT = 3.4028234663852886e38

Field = descriptor.FieldDescriptor
Fault = tuple[str, str]


class Reader:
    """Fills messages from parsed JSON and gathers the faults on the way.

    `lenient` is for paths and query strings, where every value arrives as text.
    """

    def __init__(self, lenient: bool = False) -> None:
        self.faults: list[Fault] = []
        self._lenient = lenient

    def fault(self, path: str, why: str) -> None:
        """Note one fault; past a few dozen more of them help nobody."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append((path, why))

    def fill(self, target: message.Message, value: Any, path: str = "") -> None:
        """Fill a message from what JSON gave for it."""
        read = wellknown.READERS.get(target.DESCRIPTOR.full_name)
        if read is not None:
            self._fill_wellknown(read, target, value, path)
        elif target.DESCRIPTOR.full_name.startswith("google.protobuf."):
            self._fill_by_library(target, value, path)
        elif not isinstance(value, dict):
            self.fault(path, f"must be an object, not {kind_of(value)}")
        else:
            self._fill_fields(target, value, path)

    def _fill_fields(self, target: message.Message, value: dict[str, Any], path: str) -> None:
        chosen: dict[str, str] = {}
        for key, item in value.items():
            field = _field(target.DESCRIPTOR, key)
            if field is None:
                self.fault(joined(path, key), unknown(key, target.DESCRIPTOR))
            elif self._is_first_of_oneof(field, item, chosen, path):
                self.set(target, field, item, joined(path, field.name))

    def set(self, target: message.Message, field: Field, value: Any, path: str) -> None:
        """Set one field of a message."""
        if value is None and not _takes_null(field):
            return  # ProtoJSON: null means the default.
        if _is_map(field):
            self._fill_map(target, field, value, path)
        elif field.is_repeated:
            self._fill_list(target, field, value, path)
        elif field.message_type is not None:
            sub = getattr(target, field.name)
            sub.SetInParent()
            self.fill(sub, value, path)
        else:
            self._scalar(field, value, path, lambda read: setattr(target, field.name, read))

    def _is_first_of_oneof(
        self, field: Field, item: Any, chosen: dict[str, str], path: str
    ) -> bool:
        group = field.containing_oneof
        if group is None or item is None:
            return True
        first = chosen.setdefault(group.name, field.name)
        if first == field.name:
            return True
        self.fault(joined(path, field.name), f"only one of {first} and {field.name} may be set")
        return False

    def _fill_list(self, target: message.Message, field: Field, value: Any, path: str) -> None:
        if not isinstance(value, list):
            self.fault(path, f"must be a list, not {kind_of(value)}")
            return
        items = getattr(target, field.name)
        for position, item in enumerate(value):
            where = f"{path}[{position}]"
            if item is None and not _takes_null(field):
                self.fault(where, "must not be null")
            elif field.message_type is not None:
                self.fill(items.add(), item, where)
            else:
                self._scalar(field, item, where, items.append)

    def _fill_map(self, target: message.Message, field: Field, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            self.fault(path, f"must be an object, not {kind_of(value)}")
            return
        assert field.message_type is not None
        key_field = field.message_type.fields_by_name["key"]
        value_field = field.message_type.fields_by_name["value"]
        entries = getattr(target, field.name)
        for key, item in value.items():
            where = joined(path, key)
            try:
                known_as = read_scalar(key_field, key, lenient=True)  # JSON has only text for keys.
            except ValueError as why:
                self.fault(where, f"its key {why}")
                continue
            if item is None and not _takes_null(value_field):
                self.fault(where, "must not be null")
            elif value_field.message_type is not None:
                self.fill(entries[known_as], item, where)
            else:
                self._scalar(value_field, item, where, _setter(entries, known_as))

    def _scalar(self, field: Field, value: Any, path: str, keep: Callable[[Any], Any]) -> None:
        try:
            keep(read_scalar(field, value, self._lenient))
        except ValueError as why:
            self.fault(path, str(why))

    def _fill_wellknown(
        self, read: wellknown.Read, target: message.Message, value: Any, path: str
    ) -> None:
        try:
            read(target, value)
        except wellknown.Misfit as misfit:
            self.fault(path + misfit.where, misfit.why)

    def _fill_by_library(self, target: message.Message, value: Any, path: str) -> None:
        """The rarer well-known types (wrappers, field masks), which no contract uses much."""
        try:
            json_format.ParseDict(value, target)
        except (json_format.ParseError, ValueError, TypeError):
            self.fault(path, f"is not a {target.DESCRIPTOR.name}")


def read_scalar(field: Field, value: Any, lenient: bool = False) -> Any:
    """The value of a scalar field; ValueError says why it cannot be."""
    kind = field.cpp_type
    if kind in INTEGERS:
        return read_integer(value, *INTEGERS[kind])
    if kind in (Field.CPPTYPE_DOUBLE, Field.CPPTYPE_FLOAT):
        return read_number(value, single=kind == Field.CPPTYPE_FLOAT)
    if kind == Field.CPPTYPE_ENUM:
        return read_enum(value, field)
    if kind == Field.CPPTYPE_BOOL:
        return read_bool(value, lenient)
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {kind_of(value)}")
    return read_bytes(value) if field.type == Field.TYPE_BYTES else value


def joined(path: str, key: str) -> str:
    """The path of a key inside `path`, cut when the key is absurdly long."""
    key = key if len(key) <= 64 else f"{key[:64]}…"
    return f"{path}.{key}" if path else key


def unknown(key: str, described: Any) -> str:
    """Why an unknown field is refused, with the field that was probably meant."""
    close = difflib.get_close_matches(key[:64], list(described.fields_by_name), n=1)
    return f"unknown field; did you mean {close[0]}?" if close else "unknown field"


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "an object")


def read_integer(value: Any, low: int, high: int) -> int:
    """An integer, from a number or (as ProtoJSON writes 64 bits) from a decimal string."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and DECIMAL.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be an integer, not {_shown(value)}")
    if not low <= value <= high:
        raise ValueError(f"must be between {low} and {high}")
    return value


def read_number(value: Any, single: bool = False) -> float:
    """A floating point number."""
    if isinstance(value, str):
        if value in UNUSUAL_NUMBERS:
            return UNUSUAL_NUMBERS[value]
        value = float(value) if NUMBER.fullmatch(value) else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, not {_shown(value)}")
    if abs(value) > (LARGEST_FLOAT if single else 1.7976931348623157e308):
        raise ValueError("is too large a number")
    return float(value)


def read_enum(value: Any, field: Field) -> int:
    """The number of an enum value, from its name or number."""
    assert field.enum_type is not None
    if isinstance(value, str) and value in field.enum_type.values_by_name:
        return field.enum_type.values_by_name[value].number
    if type(value) is int and value in field.enum_type.values_by_number:
        return value
    names = [each.name for each in field.enum_type.values if each.number != 0]
    raise ValueError(f"must be one of {', '.join(names)}")


def read_bool(value: Any, lenient: bool) -> bool:
    """A boolean; in paths and query strings "true" and "false"."""
    if isinstance(value, bool):
        return value
    if lenient and value in ("true", "false"):
        return value == "true"
    raise ValueError("must be true or false")


def read_bytes(value: str) -> bytes:
    """Bytes from base64, standard or URL-safe, with or without padding."""
    text = value.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64") from None


def _shown(value: Any) -> str:
    """A short value as it is, a long one by its kind."""
    if isinstance(value, str) and len(value) <= 20:
        return f'"{value}"'
    if isinstance(value, float):
        return f"{value}"
    return kind_of(value)


def _field(described: Any, key: str) -> Field | None:
    return described.fields_by_name.get(key) or described.fields_by_camelcase_name.get(key)


def _is_map(field: Field) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _takes_null(field: Field) -> bool:
    """Whether null is a value of the field's type and not the lack of one."""
    return field.message_type is not None and (
        field.message_type.full_name == "google.protobuf.Value"
    )


def _setter(entries: Any, key: Any) -> Callable[[Any], Any]:
    return lambda value: entries.__setitem__(key, value)
