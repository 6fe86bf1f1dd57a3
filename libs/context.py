"""Who and what a piece of work belongs to, carried along every hop.

The server chain extracts it from metadata, the client chain injects it, the consumer takes it from
the event. It is in every log line, event and span.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from libs import errors, ids

# One row for each field that travels: attribute, metadata key.
CARRIED = (
    ("request_id", "x-request-id"),
    ("organization_id", "podium-organization"),
    ("run_id", "podium-run-id"),
    ("workflow_run_id", "podium-workflow-run-id"),
    ("task_id", "podium-task-id"),
    ("canary", "podium-canary"),
)
# Metadata values travel as ASCII; anything else would fail the call with an obscure error.
_SAFE = re.compile(r"^[\x21-\x7e]{1,128}$")


@dataclass(frozen=True, slots=True)
class Context:
    """The present piece of work."""

    request_id: str = ""
    organization_id: str = ""
    caller: str = ""
    run_id: str = ""
    workflow_run_id: str = ""
    task_id: str = ""
    # "1": the calls of this piece of work go to replicas that are on trial, where there are some.
    canary: str = ""


_NOTHING = Context()
_current: ContextVar[Context] = ContextVar("podium_context", default=_NOTHING)


def current() -> Context:
    """The context of the running task."""
    return _current.get()


def organization() -> str:
    """The organisation that this work is for; every query is limited to it."""
    organization_id = _current.get().organization_id
    if not organization_id:
        raise errors.Unauthenticated("the call names no organisation", reason="NO_ORGANIZATION")
    return organization_id


@contextmanager
def bind(**changes: str) -> Iterator[Context]:
    """Changes the context for what happens inside the block."""
    changed = replace(_current.get(), **changes)
    token = _current.set(changed)
    try:
        yield changed
    finally:
        _current.reset(token)


def assign(**changes: str) -> None:
    """Changes the context of the running task for good; for a task's first line."""
    _current.set(replace(_current.get(), **changes))


def inject() -> list[tuple[str, str]]:
    """The context as metadata of an outgoing call."""
    present = _current.get()
    pairs = ((key, getattr(present, attribute)) for attribute, key in CARRIED)
    return [(key, value) for key, value in pairs if value]


def extract(metadata: Mapping[str, str], caller: str) -> Context:
    """The context of an incoming call; a value that is not plain ASCII is left out."""
    values = {
        attribute: value
        for attribute, key in CARRIED
        if (value := metadata.get(key, "")) and _SAFE.match(value)
    }
    values.setdefault("request_id", ids.new("req"))
    return Context(caller=caller, **values)
