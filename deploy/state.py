"""The state file: what the supervisor tells the world about its mesh, and who believes it when."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy import processes
from deploy.layout import Layout


@dataclass(frozen=True)
class ChildState:
    """One child of the supervisor."""

    name: str
    pid: int
    started: int  # the kernel's start tick; with the pid it is an identity
    state: str  # "starting", "healthy", "restarting"
    restarts: int
    addresses: list[str]
    log: str


@dataclass(frozen=True)
class MeshState:
    """The whole mesh."""

    pid: int
    started: int
    edge: str
    mesh_target: str
    admin: str
    redis_url: str
    replicas: dict[str, int]
    detached: bool
    first_start: bool
    started_in_s: float
    children: list[ChildState]
    tls: bool = False


def write(layout: Layout, state: MeshState) -> None:
    """Replace the file in one step: a reader never sees half of it."""
    scratch = layout.state_file.with_suffix(".tmp")
    scratch.write_text(json.dumps(asdict(state), indent=2) + "\n")
    scratch.replace(layout.state_file)


def read(layout: Layout) -> MeshState | None:
    """The state of a supervisor that is running; a dead one's file is removed."""
    try:
        found = json.loads(layout.state_file.read_text())
        found["children"] = [ChildState(**child) for child in found["children"]]
        state = MeshState(**found)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        layout.state_file.unlink(missing_ok=True)
        return None
    if not processes.is_running(state.pid, state.started):
        layout.state_file.unlink(missing_ok=True)
        return None
    return state


def lock(path: Path) -> int | None:
    """Take the home's lock for as long as this process lives; None when another has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
