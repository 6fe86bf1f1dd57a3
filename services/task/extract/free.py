"""Reading what an instruction names when nobody gave a schema. Pure."""

from __future__ import annotations

import re
from typing import Any

from services.task.domain import Reason, TaskFailure
from services.task.grounding import tokens

from . import rules
from .rules import Content, Records, Value

_TABLE_WORDS = frozenset({"table", "rows", "row", "list", "items", "entries", "records"})


def extract(content: Content, instruction: str) -> Any:
    """All data of the page, or the table, list or value the instruction names."""
    if not instruction.strip():
        return _everything(content)
    wanted = [w for w in tokens(instruction) if w not in rules.FILLER | {"read", "get", "extract"}]
    naming = " ".join(w for w in wanted if w not in _TABLE_WORDS)
    fields = _best_fields(content, naming)
    if fields and not _TABLE_WORDS & set(wanted):
        return fields
    records = _best_records(content, naming)
    if records is not None:
        return _rows(records)
    labels = ", ".join(dict.fromkeys(value.keys[0] for value in content.fields[:10]))
    raise TaskFailure(
        Reason.NOTHING_TO_EXTRACT,
        f'the page has nothing that is called "{instruction}"; it has {labels or "no data"}',
    )


def _everything(content: Content) -> dict[str, Any]:
    return {
        "title": content.title,
        "url": content.url,
        "fields": {value.keys[0]: value.text for value in reversed(content.fields)},
        "tables": [_rows(records) for records in content.records if records.is_table],
    }


def _best_fields(content: Content, naming: str) -> dict[str, str]:
    best = max((rules.likeness(naming, v.keys[0]) for v in content.fields), default=0.0)
    if best < 0.75:
        return {}
    value = next(v for v in content.fields if rules.likeness(naming, v.keys[0]) == best)
    return {value.keys[0]: value.text}


def _best_records(content: Content, naming: str) -> Records | None:
    shown = [r for r in content.records if r.rows and not r.in_navigation]
    tables = [r for r in shown if r.is_table]
    named = [r for r in shown if naming and rules.about(r, naming) > 0]
    for choice in (named, tables, shown):
        if len(choice) == 1 and (choice is named or not naming):
            return choice[0]
    return max(named, key=lambda r: (rules.about(r, naming), r.is_table), default=None)


def _rows(records: Records) -> list[Any]:
    if not records.is_table:
        return [row[0].text for row in records.rows]
    return [{_key(v): v.text for v in row} for row in records.rows]


def _key(value: Value) -> str:
    return "_".join(re.findall(r"[a-z0-9]+", value.keys[0].casefold())) or "value"
