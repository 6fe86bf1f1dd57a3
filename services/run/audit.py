"""Is a run what its history says, and is the history what it was? The first thing that is not.

Three layers, from the bottom up: the sequence has no gap, each hash covers the one before it, and
the rows rebuilt from the events are the stored ones, compared as canonical JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from libs import db, errors, history
from services.run import projection, store
from services.run.domain import Run

PAGE = 500
LONGEST_SHOWN = 200


class Result(StrEnum):
    """What an audit found, and did."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    REPAIRED = "repaired"
    HISTORY_BROKEN = "history_broken"


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where what is stored is not what the history says; values as JSON."""

    place: str
    stored: str
    rebuilt: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of an audit."""

    result: Result
    difference: Difference | None
    event_count: int


class _Broken(Exception):
    """The history was changed behind our back."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(difference.place)
        self.difference = difference


def looked_at(tx: db.Tx, run_id: str) -> Finding:
    """Rebuilds the run and compares. NotFound when there is neither a run nor a history.

    A run that goes on may move between two statements, so only "identical" is certain.
    """
    finding, _run = _examined(tx, run_id)
    return finding


def examined(tx: db.Tx, run_id: str, *, repair: bool) -> Finding:
    """The same while nobody changes the run; writes rows anew when they, and only they, differ."""
    finding, run = _examined(tx, run_id)
    if not repair or finding.result is not Result.DIFFERENT or run is None:
        return finding
    store.rewrite(tx, run)
    tx.notify(store.DUE_TOPIC)
    tx.notify(store.topic(run_id))
    return Finding(Result.REPAIRED, finding.difference, finding.event_count)


def _examined(tx: db.Tx, run_id: str) -> tuple[Finding, Run | None]:
    kept = store.stored(tx, run_id)
    if kept is None and not store.owns_history(tx, run_id):
        raise errors.NotFound("run", run_id)
    entries = _Sound(tx, run_id)
    try:
        run = projection.rebuilt(entries)
    except _Broken as broken:
        return Finding(Result.HISTORY_BROKEN, broken.difference, entries.count), None
    except (projection.Unfounded, KeyError, TypeError, ValueError) as unreadable:
        why = Difference(f"history[{entries.count}]", _shown(str(unreadable)), "null")
        return Finding(Result.HISTORY_BROKEN, why, entries.count), None
    difference = first_difference({"run": kept}, {"run": store.columns(run)})
    result = Result.DIFFERENT if difference else Result.IDENTICAL
    return Finding(result, difference, entries.count), run


class _Sound:
    """The events of a run in their order, each checked before it is given out."""

    def __init__(self, tx: db.Tx, run_id: str) -> None:
        self._tx = tx
        self._run_id = run_id
        self._hash = ""
        self.count = 0

    def __iter__(self) -> Iterator[history.Entry]:
        while page := history.since(self._tx, self._run_id, self.count, PAGE):
            for entry in page:
                self._check(entry)
                yield entry
        self._check_head()

    def _check(self, entry: history.Entry) -> None:
        number = self.count + 1
        _same(f"history[{number}].sequence", entry.sequence, number)
        expected = history.chained(
            self._hash,
            entry.stream_id,
            entry.sequence,
            entry.type,
            entry.source,
            entry.occurred_at,
            entry.data,
        )
        _same(f"history[{number}].hash", entry.hash, expected)
        self._hash, self.count = entry.hash, number

    def _check_head(self) -> None:
        """The head says how long the history is, so that a missing end shows."""
        _same("history.head", store.head(self._tx, self._run_id), [self.count, self._hash])
        strangers = store.foreign_events(self._tx, self._run_id)
        _same("history.organization_id", strangers, [])


def _same(place: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise _Broken(Difference(place, _shown(found), _shown(expected)))


def first_difference(stored: Any, rebuilt: Any) -> Difference | None:
    """The first place, in the order of the names, where two values are not the same JSON."""
    return _differing("", _plain(stored), _plain(rebuilt))


def canonical(value: Any) -> bytes:
    """The one way to write a value down: sorted names, times in UTC, no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _plain(value: Any) -> Any:
    return orjson.loads(canonical(value))


def _differing(place: str, stored: Any, rebuilt: Any) -> Difference | None:
    if canonical(stored) == canonical(rebuilt):
        return None
    if isinstance(stored, dict) and isinstance(rebuilt, dict):
        for name in sorted(stored.keys() | rebuilt.keys()):
            inner = f"{place}.{name}" if place else name
            if found := _differing(inner, stored.get(name), rebuilt.get(name)):
                return found
    if isinstance(stored, list) and isinstance(rebuilt, list) and len(stored) == len(rebuilt):
        for number, pair in enumerate(zip(stored, rebuilt, strict=True)):
            if found := _differing(f"{place}[{number}]", *pair):
                return found
    return Difference(place, _shown(stored), _shown(rebuilt))


def _shown(value: Any) -> str:
    text = canonical(value).decode()
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
