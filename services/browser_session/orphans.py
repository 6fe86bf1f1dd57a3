"""Browsers whose owner is gone: who owns a browser directory, and how to end what is left in it.

Every browser has a directory of its own, and its path is on the browser's command line. So the
directories are the registry: a directory whose owner (pid and start time, on this machine) no
longer lives is swept, with every process that was started with it, even one that was forked in
the instant before its owner died and never made it into any list.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
from pathlib import Path

from libs.clock import Clock

OWNER_FILE = "owner.json"
REMOVE_ATTEMPTS = 20
REMOVE_PAUSE_S = 0.05


def claim_directory(directory: Path) -> None:
    """Writes down that this process owns the directory."""
    owner = {"place": _place(), "pid": os.getpid(), "start": start_time(os.getpid())}
    (directory / OWNER_FILE).write_text(json.dumps(owner))


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if it does not run.

    A pid alone is not a name: the kernel gives it to another process later.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def reap_orphans(root: Path) -> int:
    """Ends the browsers below `root` that lost their owner; returns how many there were."""
    if not root.is_dir():
        return 0
    abandoned = [entry for entry in root.iterdir() if entry.is_dir() and _abandoned(entry)]
    for directory in abandoned:
        for pid in processes_of(directory):
            _kill(pid)
        shutil.rmtree(directory, ignore_errors=True)
    return len(abandoned)


def processes_of(directory: Path) -> list[int]:
    """The processes with this directory on their command line."""
    needle = f"{directory}{os.sep}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if needle in line:
            found.append(int(entry.name))
    return found


async def remove_directory(directory: Path, clock: Clock) -> None:
    """Removes the directory, again if dying processes still wrote into it."""
    for _ in range(REMOVE_ATTEMPTS):
        if await asyncio.to_thread(_remove, directory):
            return
        await clock.sleep(REMOVE_PAUSE_S)


def _remove(directory: Path) -> bool:
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


def _abandoned(directory: Path) -> bool:
    try:
        owner = json.loads((directory / OWNER_FILE).read_text())
    except (OSError, ValueError):
        # Not claimed yet: its owner may be between the two steps of creating it.
        return False
    if owner["place"] != _place():
        # Another machine or container shares this disk; its processes cannot be seen from here.
        return False
    return start_time(owner["pid"]) != owner["start"]


def _place() -> str:
    """This host and process namespace: pids mean nothing outside it."""
    return f"{socket.gethostname()}/{Path('/proc/self/ns/pid').stat().st_ino}"


def _kill(pid: int) -> None:
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
