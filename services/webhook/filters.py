"""CEL filters of endpoints: an expression over an event that says whether it is sent.

Behind this module is Google's own implementation of the Common Expression Language
(https://cel.dev). Macros are refused: without them an expression costs what its length says, and
a filter is evaluated beside everybody else's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from libs import errors, metrics
from services.webhook.domain import Announcement

LONGEST = 1000
_MACRO = re.compile(r"\.\s*(all|exists|exists_one|map|filter)\s*\(")
_PLACE = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")


def check(expression: str) -> str:
    """The filter if it can be evaluated to true or false, else Invalid saying why."""
    if len(expression) > LONGEST:
        raise errors.Invalid("filter", f"must be at most {LONGEST} characters")
    if not expression.strip():
        return ""
    if _MACRO.search(expression):
        raise errors.Invalid("filter", "must not loop over lists or maps (all, exists, map …)")
    try:
        kind = _compiled(expression).return_type().name()
    except (RuntimeError, ValueError) as wrong:
        raise errors.Invalid("filter", f"is not a CEL expression: {_reason(wrong)}") from None
    if kind not in ("BOOL", "DYN"):
        raise errors.Invalid("filter", f"must be true or false, not {kind}")
    return expression


def accepts(expression: str, event: Announcement) -> bool:
    """Whether the filter is true of the event; one that fails, for want of a field say, is not."""
    if not expression:
        return True
    facts: Mapping[str, Any] = {
        "event": {
            "id": event.event_id,
            "type": event.type,
            "run_id": event.run_id,
            "workflow_id": event.workflow_id,
        },
        "data": event.data,
    }
    try:
        answer = _compiled(expression).eval(data=facts)
    except (RuntimeError, ValueError, TypeError, OverflowError):
        return False
    return answer.type().name() == "BOOL" and answer.value() is True


@lru_cache(maxsize=1)
def _environment() -> Any:
    # Loaded by the first filter: a mesh without any does not pay for the library's memory.
    from cel_expr_python import cel

    anything = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return cel.NewEnv(variables={"event": anything, "data": anything})


@lru_cache(maxsize=1000)
def _compiled(expression: str) -> Any:
    return _environment().compile(expression)


metrics.watch_cache("webhook_filters", _compiled)


def _reason(wrong: Exception) -> str:
    found = _PLACE.search(str(wrong))
    if found is None:
        return "it is nested too deeply" if "recursion" in str(wrong) else "it cannot be read"
    line, column, text = found.groups()
    return f"line {line}, column {column}: {text[:200]}"
