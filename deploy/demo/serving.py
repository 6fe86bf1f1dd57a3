"""The demo's servers as seen by the demo: where they listen, where their files lie, their start.

They are one background process (`deploy.demo.process`) that lives exactly as long as the mesh, so
that the workflow can be run again after the demo has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy import layout, processes


@dataclass(frozen=True)
class Servers:
    """The running servers, as their state file tells."""

    pid: int
    started: int
    portal_url: str
    hooks_url: str


@dataclass(frozen=True)
class Folder:
    """The demo's folder in a home, and what lies where."""

    path: Path

    @property
    def customer(self) -> Path:
        """User name, password and seed of the portal's customer; for the owner alone."""
        return self.path / "portal-login.json"

    @property
    def state(self) -> Path:
        """Where the servers listen."""
        return self.path / "servers.json"

    @property
    def secret(self) -> Path:
        """The signing secret of the webhook endpoint; for the owner alone."""
        return self.path / "webhook-secret"

    @property
    def endpoint(self) -> Path:
        """Id of the webhook endpoint that goes with the secret."""
        return self.path / "webhook-endpoint"

    @property
    def credential(self) -> Path:
        """The customer's user name, once the mesh keeps a credential for this very login."""
        return self.path / "credential"

    @property
    def messages(self) -> Path:
        """One file for each webhook message that arrived."""
        return self.path / "webhooks"

    def keep(self, file: Path, text: str) -> None:
        """Write a file whole or not at all, readable by the owner alone."""
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as opened:
            opened.write(text)
        partial.replace(file)


def folder(home: Path) -> Folder:
    """The demo's folder, made when missing."""
    found = Folder(home / "demo")
    found.messages.mkdir(parents=True, exist_ok=True)
    return found


def known(home: Path) -> Servers | None:
    """The servers that a home was told of; they may be on another machine."""
    try:
        return Servers(**json.loads(folder(home).state.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def running(home: Path) -> Servers | None:
    """The servers of a home, when they live on this machine."""
    servers = known(home)
    lives = servers is not None and processes.is_running(servers.pid, servers.started)
    return servers if lives else None


def start(home: Path, supervisor_pid: int) -> Servers:
    """Start the servers, or find them running; they end with the supervisor."""
    if found := running(home):
        return found
    with (folder(home).path / "servers.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "deploy.demo.process", str(home), str(supervisor_pid)],
            cwd=layout.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert child.stdout is not None
    with child.stdout as announced:
        announced.readline()
    servers = running(home)
    if servers is None:
        raise RuntimeError(f"the demo's servers did not start; see {folder(home).path}/servers.log")
    return servers
