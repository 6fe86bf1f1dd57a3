"""Settings that are changed while the mesh runs: what there is, what it may be, who heeds it.

A setting is written "breaker_threshold", or "breaker_threshold/totp" where it is for one service
alone. Each process says which it heeds and how; the heartbeat brings it what is changed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from libs import errors
from libs.registry import ChangedSettings

log = logging.getLogger(__name__)
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
Value = int | float | str
# Told the value, or None when the one that the process was started with holds again.
Apply = Callable[[Any], None]


@dataclass(frozen=True)
class Knob:
    """One setting: its values, and what is turned with it."""

    name: str
    what: str
    kind: type[int] | type[float] | type[str]
    least: float = 0
    most: float = 0
    words: tuple[str, ...] = ()
    scoped: bool = True  # may be said of one service alone

    def plain(self, text: str) -> str:
        """A value as it is kept: " 5" and "5" are no change; empty stays empty."""
        return str(self.read(text)) if text else ""

    @property
    def values(self) -> str:
        """Which values it takes, in words."""
        if self.words:
            return f"one of {', '.join(self.words)}"
        number = "a whole number" if self.kind is int else "a number"
        return f"{number} from {self.least:.10g} to {self.most:.10g}"

    @property
    def description(self) -> str:
        """What it is and which values it takes."""
        return f"{self.what}; {self.values}"

    def read(self, text: str) -> Value:
        """The value that a text says; Invalid when it cannot be one."""
        if self.words:
            if text.upper() in self.words:
                return text.upper()
            raise errors.Invalid("value", f"{self.name} is {self.values}")
        try:
            value = self.kind(text)
        except ValueError:
            value = math.nan
        if not self.least <= float(value) <= self.most:
            raise errors.Invalid("value", f"{self.name} is {self.values}")
        return value


KNOBS = {
    knob.name: knob
    for knob in (
        Knob("log_level", "from which level on a process logs", str, words=LEVELS),
        Knob(
            "work_concurrency",
            "rows that each worker of a replica carries out at once (its work pool)",
            int,
            1,
            1000,
        ),
        Knob(
            "breaker_threshold",
            "failures in a row of a service that open the gateway's breaker",
            int,
            1,
            1000,
        ),
        Knob("breaker_reset_s", "for how long a breaker stays open", float, 0.1, 3600),
        Knob(
            "bulkhead_concurrent",
            "calls that a gateway makes to a service at once (its pool)",
            int,
            1,
            10_000,
        ),
        Knob("bulkhead_queued", "calls that wait for a place in that pool", int, 0, 100_000),
        Knob("rate_per_s", "calls a second for each API key", float, 0.1, 1_000_000, scoped=False),
        Knob("rate_burst", "calls at once for each API key", int, 1, 1_000_000, scoped=False),
    )
}


def key(name: str, scope: str) -> str:
    """How a setting is written."""
    return f"{name}/{scope}" if scope else name


def check(name: str, scope: str, text: str, services: tuple[str, ...]) -> str:
    """The setting's key, if this may be its value (empty: as it was started); else Invalid."""
    knob = KNOBS.get(name)
    if knob is None:
        raise errors.Invalid("name", f"there is no such setting; there are {', '.join(KNOBS)}")
    if scope and not knob.scoped:
        raise errors.Invalid("scope", f"{name} is not of one service")
    if scope and scope not in services:
        raise errors.Invalid("scope", f"there is no such service; there are {', '.join(services)}")
    if text:
        knob.read(text)
    return key(name, scope)


@dataclass
class Tuning:
    """What one process heeds of the settings."""

    version: int = 0
    _appliers: dict[tuple[str, str], Apply] = field(default_factory=dict)
    _applied: dict[tuple[str, str], str] = field(default_factory=dict)

    def on(self, name: str, scope: str, apply: Apply) -> None:
        """Heeds a setting of a scope, and that of all scopes where nothing narrower is said."""
        self._appliers[KNOBS[name].name, scope] = apply

    def hear(self, changed: ChangedSettings) -> None:
        """Applies what has changed; older versions than the known one come from a late Redis."""
        if changed.version <= self.version:
            return
        self.version = changed.version
        for (name, scope), apply in self._appliers.items():
            text = _in_effect(changed.values, name, scope)
            if text != self._applied.get((name, scope), ""):
                self._apply(name, scope, text, apply)

    def state(self) -> tuple[int, dict[str, str]]:
        """The version that was heard, and what of it holds in this process."""
        told = {key(*which): text for which, text in self._applied.items() if text}
        return self.version, told

    def _apply(self, name: str, scope: str, text: str, apply: Apply) -> None:
        try:
            apply(KNOBS[name].read(text) if text else None)
        except errors.Invalid as error:
            # An older process may not know what a newer gateway accepts.
            log.warning("%s stays as it is: %s", key(name, scope), error)
            return
        self._applied[name, scope] = text
        log.info("%s is now %s", key(name, scope), text or "as it was at the start")


def _in_effect(values: Mapping[str, str], name: str, scope: str) -> str:
    return values.get(key(name, scope)) or values.get(name, "")


def log_level(tuning: Tuning, service: str, usual: str) -> None:
    """Heeds the level from which on this process logs."""
    tuning.on(
        "log_level", service, lambda level: logging.getLogger().setLevel(level or usual.upper())
    )
