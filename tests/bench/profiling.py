"""Where the time goes: py-spy watches the processes of a loaded mesh; its samples, summed up."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.stage import Stage

SECONDS = 8
WATCHED = ("gateway-1", "run-1", "workflow-1", "webhook-1")
MOST_LINES = 12


@dataclass
class Profiler:
    """py-spy processes that record."""

    recording: list[tuple[str, Path, subprocess.Popen[bytes]]]

    def shares(self) -> dict[str, list[tuple[str, float]]]:
        """For each process the places that were busy most often, by their share of samples."""
        found = {}
        for name, file, process in self.recording:
            process.wait()
            found[name] = _shares(file) if file.exists() else []
        return found


def start(stage: Stage) -> Profiler:
    """Begin to watch; the load has to run for as long."""
    spy = shutil.which("py-spy") or str(Path(sys.executable).with_name("py-spy"))
    if not Path(spy).exists():
        raise SystemExit("the profile needs py-spy: .venv/bin/pip install py-spy")
    recording = []
    for name in WATCHED:
        file = stage.home / f"{name}.folded"
        command = [spy, "record", "--pid", str(stage.pid(name)), "--duration", str(SECONDS)]
        command += ["--format", "raw", "--rate", "200", "--output", str(file), "--nonblocking"]
        quiet = subprocess.DEVNULL
        recording.append((name, file, subprocess.Popen(command, stdout=quiet, stderr=quiet)))
    return Profiler(recording)


def _shares(file: Path) -> list[tuple[str, float]]:
    """Self time by the part of the code that was on top of the stack."""
    parts: Counter[str] = Counter()
    for line in file.read_text(errors="replace").splitlines():
        stack, _, count = line.rpartition(" ")
        parts[_part(stack.split(";"))] += int(count)
    total = sum(parts.values()) or 1
    return [(part, count / total) for part, count in parts.most_common(MOST_LINES)]


def _part(stack: list[str]) -> str:
    """The nearest of our modules or libraries that a sample belongs to."""
    top = stack[-1]
    for frame in reversed(stack):
        for owner in ("sqlalchemy", "grpc", "opentelemetry", "redis", "uvicorn", "pydantic"):
            if f"({owner}/" in frame or f"/{owner}/" in frame:
                return owner
        for owner in ("services/", "gateway/", "libs/"):
            if f"/{owner}" in frame or f"({owner}" in frame:
                return f"ours: {frame}"
    return top
