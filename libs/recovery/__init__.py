"""Recovering from failures that are known: named steps, each with its result, health verified last.

There are five: a database that went away, a browser that died, an engine that died while it held a
workflow run, a process that grew too large, and a replica that died with any other work. Each owner
of such a failure writes the steps; this package carries them out one after the other, keeps what
came of each, and says so: as a row in the service's own schema, as a line in the log, and as a line
of `recoveries.jsonl` in the home, which `podium status` reads. A recovery that fails raises an
alert.
"""

from libs.recovery.attempts import Recoveries
from libs.recovery.strategies import (
    Failure,
    Recovery,
    State,
    Step,
    StepFailed,
    StepResult,
    Strategy,
)

__all__ = [
    "Failure",
    "Recoveries",
    "Recovery",
    "State",
    "Step",
    "StepFailed",
    "StepResult",
    "Strategy",
]
