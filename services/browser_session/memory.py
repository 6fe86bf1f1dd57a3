"""How much memory processes use, shared pages counted by their share."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

PROCESSES = Path("/proc")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def heavier(limits_mib: Mapping[int, float]) -> set[int]:
    """The browsers, by their main process, that use more than their limit.

    To count shared pages by their share is slow; only what could be too large is counted so.
    """
    groups = _groups()
    return {
        leader
        for leader, limit in limits_mib.items()
        if _resident_mib(groups[leader]) > limit and proportional_mib(groups[leader]) > limit
    }


def proportional_mib(pids: Iterable[int]) -> float:
    """The processes' memory together, in MiB; one that has ended counts nothing."""
    return sum(_proportional_kib(pid) for pid in pids) / 1024


def group_of(leader: int) -> list[int]:
    """The processes of a process group, which is what a browser is."""
    return _groups()[leader]


def _groups() -> defaultdict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for entry in PROCESSES.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(fields[2])].append(int(entry.name))
    return found


def _resident_mib(pids: Iterable[int]) -> float:
    """Never less than what is counted by share."""
    pages = 0
    for pid in pids:
        try:
            pages += int((PROCESSES / str(pid) / "statm").read_text().split()[1])
        except OSError:
            continue
    return pages * PAGE_BYTES / 1024**2


def _proportional_kib(pid: int) -> int:
    try:
        lines = (PROCESSES / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
