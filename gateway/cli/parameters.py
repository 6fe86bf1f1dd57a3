"""`-p key=value` on the command line as the JSON values a workflow wants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import yaml


def parse(
    pairs: tuple[str, ...], file: Path | None, schema: dict[str, Any] | None
) -> dict[str, Any]:
    """The parameters: those of the file, then the pairs, typed by the workflow's JSON Schema."""
    values = _read(file) if file else {}
    types = {
        name: facts.get("type", "") for name, facts in (schema or {}).get("properties", {}).items()
    }
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f'-p "{pair}": write it as name=value')
        values[name] = typed(name, text, types.get(name, ""))
    return values


def typed(name: str, text: str, type_: str | list[str]) -> Any:
    """A value as its declared type; without one, JSON when it reads as JSON and text when not."""
    if type_ == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        if type_ in ("", []) or "string" in type_:
            return text
        raise click.UsageError(f"-p {name}: {text!r} is not JSON of type {type_}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        with click.open_file(str(file), encoding="utf-8") as opened:
            values = yaml.safe_load(opened.read())
    except (OSError, yaml.YAMLError) as why:
        raise click.UsageError(f"{file}: {why}") from None
    if not isinstance(values, dict):
        raise click.UsageError(f"{file}: must hold a mapping of parameter names to values")
    return values


def labels(pairs: tuple[str, ...]) -> dict[str, str]:
    """`--label key=value` as a mapping."""
    split = [pair.partition("=") for pair in pairs]
    for name, equals, _ in split:
        if not equals or not name:
            raise click.UsageError(f'--label "{name}": write it as key=value')
    return {name: value for name, _, value in split}
