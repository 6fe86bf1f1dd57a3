"""Starting a child of the supervisor: forked, detached from its files and tied to its life."""

from __future__ import annotations

import logging
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy import processes

LARGEST_LOG_BYTES = 20 * 1024 * 1024
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1)


@dataclass(frozen=True)
class Spec:
    """What a child is: the same spec starts it again after a crash."""

    name: str
    log: Path
    begin: Callable[[], None]  # runs in the child; returns only when the child is to end
    env: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    behind_envoy: bool = False  # not healthy before Envoy sends it calls


def module(name: str) -> Callable[[], None]:
    """Run a Python module just as `python -m name` does, in the already warm interpreter."""

    def begin() -> None:
        sys.argv = [name]
        runpy.run_module(name, run_name="__main__", alter_sys=True)

    return begin


def program(path: Path, *arguments: str) -> Callable[[], None]:
    """Replace the child by another program."""

    def begin() -> None:
        os.execv(path, [str(path), *arguments])  # noqa: S606 — no shell is wanted.

    return begin


def fork(spec: Spec) -> int:
    """Start the child and return its pid. The caller must have one thread and no gRPC channel."""
    parent = os.getpid()
    # A signal between fork and reset would run the supervisor's handler inside the child.
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        return pid
    code = 1
    try:
        _settle(spec, parent)
        spec.begin()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 — whatever it was, it goes to the log and ends us.
        traceback.print_exc()
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _settle(spec: Spec, parent: int) -> None:
    """Cut every tie with the supervisor but the one that ends the child with it."""
    processes.die_with_parent(parent)
    os.setpgid(0, 0)
    _redirect(spec.log)
    signal.set_wakeup_fd(-1)
    for number in HANDLED:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    os.environ.update(spec.env)


def _redirect(log: Path) -> None:
    """Standard streams to the log; every other file of the supervisor is closed here."""
    if log.exists() and log.stat().st_size > LARGEST_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
