"""The mesh that is hurt: real processes in a home of its own, and where to find each of them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy import local, processes
from deploy.layout import Layout
from libs import settings

# Small limits would only make the load wait: it comes from one key and one organisation. A breaker
# that stays open for a minute would hide what the mesh can do once both replicas are back.
EASY = {
    "PODIUM_RATE_PER_S": "5000",
    "PODIUM_RATE_BURST": "5000",
    "PODIUM_BREAKER_RESET_S": "1",
    "PODIUM_WEBHOOK_SCHEDULE_SCALE": "0.05",
    "PODIUM_MAX_SESSIONS": "4",
    # At rest no browser is left: one that is kept ready could not be told from one left over.
    "PODIUM_BROWSER_WARM": "0",
}
SERVICES = ("run", "workflow", "task", "totp", "browser_session", "webhook", "gateway")


@dataclass(frozen=True)
class Stage:
    """A running mesh."""

    home: Path
    edge: str
    api_key: str
    database_url: str  # empty: a SQLite file for each service
    supervisor: int

    def status(self) -> local.MeshStatus:
        """The mesh as it is now."""
        found = local.status(self.home)
        assert found is not None, f"the supervisor of {self.home} is gone"
        return found

    def pid(self, name: str) -> int:
        """The present process of "run-1", "envoy" …; 0 while it is being restarted."""
        return next((each.pid for each in self.status().processes if each.name == name), 0)

    def browsers(self) -> list[int]:
        """The main process of each Chromium of the mesh."""
        owners = [p.pid for p in self.status().processes if p.name.startswith("browser_session")]
        below = [pid for owner in owners if owner for pid in processes.descendants(owner)]
        return [pid for pid in below if _is_chromium(pid)]

    def log(self, name: str) -> str:
        """What a process has written."""
        return Layout(self.home).log(name).read_text(errors="replace")

    def cpu_s(self) -> dict[str, float]:
        """CPU time that each process of the mesh has used, with those it started."""
        tick = os.sysconf("SC_CLK_TCK")
        return {
            each.name: sum(map(_cpu_ticks, [each.pid, *processes.descendants(each.pid)])) / tick
            for each in self.status().processes
        }


def send(pid: int, number: signal.Signals) -> bool:
    """Signal one process of the mesh; False when it has gone."""
    if pid <= 1:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def raised(home: Path, replicas: int = 2, database_url: str = "", **more: str) -> Iterator[Stage]:
    """A mesh with so many replicas of each service and of the gateway, gone at the end."""
    told = {**EASY, **more} | ({"PODIUM_DATABASE_URL": database_url} if database_url else {})
    with _environment(told):
        started = local.up(
            home, _free_port(), replicas=dict.fromkeys(SERVICES, replicas), detach=True
        )
    try:
        yield Stage(
            home=home,
            edge=started.edge,
            api_key=started.api_key_file.read_text().strip(),
            database_url=database_url,
            supervisor=started.supervisor_pid,
        )
    finally:
        _wake_all(home)
        local.down(home)


def end_cleanly() -> None:
    """Let SIGTERM end this process like an exception, so that its mesh ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@contextlib.contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = {name: settings.environment(name) for name in changes}
    settings.adopt(changes)
    try:
        yield
    finally:
        settings.adopt({name: value for name, value in before.items() if value})
        for name, value in before.items():
            if not value:
                os.environ.pop(name, None)


def _wake_all(home: Path) -> None:
    """What is stopped cannot be asked to end."""
    if (found := local.status(home)) is not None:
        for pid in found.all_pids():
            send(pid, signal.SIGCONT)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def _is_chromium(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    # Renderers and other helpers say what they are.
    return any(b"--user-data-dir" in part for part in command) and not any(
        part.startswith(b"--type=") for part in command
    )


def _cpu_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    # utime, stime, and those of children that have been waited for.
    return sum(int(fields[at]) for at in (11, 12, 13, 14))
