"""A test hook: the process dies at its n-th commit, just before it or just after. Off by default.

`PODIUM_CRASH_AT="workflow:before:3"` tells it to one service's processes. It is there to prove that
a crash at any commit loses nothing; nothing but tests/chaos sets it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

KILLED = 137


@dataclass
class CrashPoint:
    """Counts the commits of this process and ends it at one of them; without one it does nothing.

    The process ends as if it was killed: nothing is flushed, no lease is handed back.
    """

    when: str = ""
    number: int = 0
    _commits: int = 0

    @classmethod
    def of(cls, setting: str, service: str) -> CrashPoint:
        """The crash point that a setting like "run:after:5" names for this service."""
        if not setting:
            return cls()
        of, when, number = setting.split(":")
        return cls(when, int(number)) if of == service else cls()

    def before_commit(self) -> None:
        """Called when everything is written and nothing is committed."""
        self._commits += 1
        self._die_if(when="before")

    def after_commit(self) -> None:
        """Called when the commit is on disk and nobody knows of it."""
        self._die_if(when="after")

    def _die_if(self, *, when: str) -> None:
        if self.when == when and self._commits == self.number:
            os._exit(KILLED)
