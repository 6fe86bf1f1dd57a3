"""How much memory processes use, shared pages counted by their share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def browser_mib(leader: int) -> float:
    """What the browser with this main process uses, in MiB."""
    return proportional_mib(group_of(leader))


def proportional_mib(pids: Iterable[int]) -> float:
    """The processes' memory together, in MiB; one that has ended counts nothing."""
    return sum(_proportional_kib(pid) for pid in pids) / 1024


def group_of(leader: int) -> list[int]:
    """The processes of a process group, which is what a browser is."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == leader:
            found.append(int(entry.name))
    return found


def _proportional_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
