"""Pydantic's findings in the words of whoever wrote the document."""

from __future__ import annotations

import re
from typing import Any

from pydantic import AliasChoices, BaseModel, ValidationError

from .templates import suggestion

_WORDS = {
    "missing": "is required",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "finite_number": "must be a finite number",
}
_WITH_FACTS = {
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
}
_PATTERNS = {
    "name": "must be lower-case letters, digits, - and _, at most 100",
    "label": "must be letters, digits and _, not beginning with a digit, at most 64",
    "key": "must be letters, digits and _, not beginning with a digit, at most 64",
    "item_name": "must be lower-case letters, digits and _, at most 40",
}
# Steps of pydantic's own in a location, which are not part of the document.
_INTERNAL = re.compile(r"^(function-\w+|\w+\[.*\]|\[key\]|str|dict|list|int|float|none)$")


def said(error: ValidationError, model: type[BaseModel]) -> list[tuple[str, str]]:
    """Each finding as the path below the model and why it is refused."""
    found: dict[tuple[str, str], None] = {}
    for finding in error.errors(include_url=False, include_input=False):
        path = _path(finding["loc"])
        found[path, _why(dict(finding), model)] = None
    return list(found)


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not _INTERNAL.match(part):
            path += f".{part}" if path else part
    return path


def _why(finding: dict[str, Any], model: type[BaseModel]) -> str:
    kind, facts = finding["type"], finding.get("ctx", {})
    last = str(finding["loc"][-1]) if finding["loc"] else ""
    if kind == "extra_forbidden":
        return f"is not a known field{suggestion(last[:80], _fields(model, finding['loc']))}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(last, f"must match {facts.get('pattern', '')}")
    if kind == "value_error":
        return str(facts.get("error", "is wrong"))
    if kind in _WORDS:
        return _WORDS[kind]
    if facts.get("min_length") == 1:
        return "must not be empty"
    if kind in _WITH_FACTS:
        return _WITH_FACTS[kind].format(**{k: _number(v) for k, v in facts.items()})
    return str(finding["msg"]).removeprefix("Value error, ")


def _number(fact: Any) -> Any:
    return int(fact) if isinstance(fact, float) and fact.is_integer() else fact


def _fields(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The fields a model knows; nothing for places deeper inside it."""
    if len(location) != 1:
        return []
    names = []
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        if isinstance(alias, AliasChoices):
            names += [str(choice) for choice in alias.choices]
        else:
            names.append(str(alias or name))
    return names
