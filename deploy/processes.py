"""What the kernel says about processes: identity, descendants, memory, death."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
from collections import defaultdict
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# Loaded once in the supervisor: a forked child only makes the call.
_libc = ctypes.CDLL(None, use_errno=True)


def start_time(pid: int) -> int:
    """The kernel's start tick of a process; with the pid it is an identity. 0: no such process."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def is_running(pid: int, started: int) -> bool:
    """Whether this very process (not a later one with its pid) lives and is no zombie."""
    fields = _stat(pid)
    return bool(fields) and int(fields[19]) == started and fields[0] not in "ZX"


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, nearest first, without it."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    found = list(children[pid])
    for child in found:
        found.extend(children[child])
    return found


def pss_mb(pids: list[int]) -> float:
    """Memory of these processes together; pages they share are counted once."""
    total_kb = 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue  # It ended between the listing and the look.
        total_kb += sum(int(x.split()[1]) for x in rollup.splitlines() if x.startswith("Pss:"))
    return total_kb / 1024


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when `parent` dies, even if that is already so."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that none is lost."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_for_end(pid: int, within_s: float) -> bool:
    """Wait for a process that is not our child; True when it has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], within_s)[0])
    finally:
        os.close(handle)


def listens(target: str) -> bool:
    """Whether a connection to a gRPC target is accepted."""
    scheme, _, path = target.partition(":")
    unix = scheme == "unix"
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            host, _, port = target.rpartition(":")
            probe.connect(path if unix else (host, int(port)))
        except OSError:
            return False
    return True


def send(pid: int, number: int) -> None:
    """Send a signal to a process, if there is one (0: there is none) and it has not ended."""
    if pid:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name: state, ppid, …; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
