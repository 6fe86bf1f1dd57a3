"""Real service processes for tests that stop, continue and kill them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.mesh import settings_for

ROOT = Path(__file__).parents[2]


@dataclass
class ServiceProcess:
    """One replica of a service in a process of its own."""

    process: subprocess.Popen[bytes]
    address: str
    replica: str

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it without a word."""
        self.process.kill()
        self.process.wait()


@contextmanager
def service_process(
    service: str, home: Path, redis_url: str, **settings: Any
) -> Iterator[ServiceProcess]:
    """Runs a replica inside the block; it is not ready yet when the block begins."""
    told = settings_for(service, home, redis_url, **settings)
    texts = {
        f"PODIUM_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in told.items()
    }
    log = (home / f"{service}-{told['replica']}.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", f"services.{service}"],
        env={**os.environ, **texts},
        cwd=ROOT,
        stderr=log,
    )
    try:
        yield ServiceProcess(process, told["listen"], told["replica"])
    finally:
        process.kill()
        process.wait()
        log.close()
