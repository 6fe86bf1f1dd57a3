"""A replica of a service as a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def process(service: str, told: dict[str, Any]) -> Iterator[int]:
    """Runs a service with these settings; its pid. It is killed at the end."""
    variables = {f"PODIUM_{name.upper()}": str(value) for name, value in told.items()}
    child = subprocess.Popen(
        [sys.executable, "-m", f"services.{service}"], env={**os.environ, **variables}
    )
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()
