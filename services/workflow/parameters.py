"""The parameters of a workflow: how they are declared, and the values a run is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .templates import suggestion

MAX_TEXT = 100_000
ParameterType = Literal["string", "integer", "number", "boolean", "json", "credential"]


class Parameter(BaseModel):
    """One declared parameter. A credential is the id or name of one, never its secret."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    key: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
    type: ParameterType = "string"
    required: bool = True
    default: Any = None
    description: str = Field(default="", max_length=2_000)
    enum: list[Any] | None = Field(default=None, min_length=1, max_length=200)

    @property
    def has_default(self) -> bool:
        """Whether a run may leave it out although it is required."""
        return "default" in self.model_fields_set

    def wrong(self, value: Any) -> str | None:
        """Why a value cannot be this parameter; None when it can."""
        if value is None:
            return None if not self.required or self.type == "json" else "must not be null"
        holds, words = _TYPES[self.type]
        if not holds(value):
            return f"must be {words}, not {_named(value)}"
        if isinstance(value, str) and len(value) > MAX_TEXT:
            return f"must be at most {MAX_TEXT} characters"
        if self.enum is not None and not any(_same(value, allowed) for allowed in self.enum):
            return f"must be one of {', '.join(map(repr, self.enum[:20]))}"
        return None

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        schema: dict[str, Any] = dict(_SCHEMAS[self.type])
        if self.description:
            schema["description"] = self.description
        if self.has_default:
            schema["default"] = self.default
        if self.enum is not None:
            schema["enum"] = self.enum
        return schema


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "string": (_is_text, "a text"),
    "integer": (_is_integer, "a whole number"),
    "number": (_is_number, "a number"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "json": (lambda _value: True, "a JSON value"),
    "credential": (
        lambda value: isinstance(value, str) and 0 < len(value) <= 200,
        "the id or name of a credential",
    ),
}
_SCHEMAS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "json": {},
    "credential": {"type": "string", "format": "podium-credential"},
}


def _same(left: Any, right: Any) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _named(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")


def check_values(
    declared: Sequence[Parameter], given: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The values of all declared parameters, and what is wrong with those that were given."""
    values: dict[str, Any] = {}
    wrong: list[tuple[str, str]] = []
    for parameter in declared:
        where = f"parameters.{parameter.key}"
        if parameter.key in given:
            values[parameter.key] = given[parameter.key]
            why = parameter.wrong(given[parameter.key])
            if why is not None:
                wrong.append((where, why))
        elif parameter.required and not parameter.has_default:
            wrong.append((where, "is required"))
        else:
            values[parameter.key] = parameter.default
    keys = {parameter.key for parameter in declared}
    for key in given.keys() - keys:
        wrong.append((f"parameters.{key[:80]}", f"is not a parameter{suggestion(key[:80], keys)}"))
    return values, sorted(wrong)


def schema_of(declared: Iterable[Parameter]) -> dict[str, Any]:
    """The JSON Schema of the values of a run."""
    listed = list(declared)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "properties": {parameter.key: parameter.schema() for parameter in listed},
        "required": [p.key for p in listed if p.required and not p.has_default],
    }
