"""The process that holds a local mesh together: it imports once and forks each replica.

Every child is forked from this process after the heavy modules are imported, so a replica costs
some milliseconds and few private pages. For that to be safe this process never has a second
thread, an event loop or a gRPC channel. Children die with it (PR_SET_PDEATHSIG), whatever kills it.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from deploy import children, processes, state
from deploy.alarms import Alarms
from deploy.envoy import admin
from deploy.layout import Layout
from libs import ids

log = logging.getLogger("podium.supervisor")

START_WITHIN_S = 60.0
LOOK_EVERY_S = 0.02
LOOK_AGAIN_EVERY_S = 0.2
GRACE_S = 5.0
# A child that lived this long has earned an immediate restart.
STEADY_AFTER_S = 10.0
SHORTEST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0
# While the mesh comes up, a child that cannot start will not start the fourth time either.
MOST_DEATHS_AT_START = 3
# What a life had leased is free by itself after some seconds: older ones need not be named.
MOST_ENDED_LIVES = 8


class Mesh(Protocol):
    """What the supervisor needs to know; `deploy.composition` is the real one."""

    @property
    def layout(self) -> Layout:
        """Where its files are."""
        ...

    @property
    def detached(self) -> bool:
        """Whether it outlives its terminal."""
        ...

    @property
    def admin_socket(self) -> Path:
        """Where Envoy answers questions."""
        ...

    def programs(self) -> list[children.Spec]:
        """What starts first and ends last."""
        ...

    def modules(self) -> list[str]:
        """What is imported before the replicas are forked."""
        ...

    def replicas(self) -> list[children.Spec]:
        """What is forked once everything is imported."""
        ...

    def scaled(self) -> Mesh:
        """The same mesh with as many replicas as are wanted now."""
        ...

    def describe(self, started_in_s: float, described: list[state.ChildState]) -> state.MeshState:
        """The state file's content."""
        ...


class CannotStart(Exception):
    """Bring-up failed; the text is for the person who asked for it."""


@dataclass
class Child:
    """A replica, Envoy or Valkey, over all its lives."""

    spec: children.Spec
    pid: int = 0
    started_at: float = 0.0
    restarts: int = 0
    deaths_in_a_row: int = 0
    restart_at: float = 0.0
    healthy: bool = False
    life: str = ""
    ended_lives: list[str] = field(default_factory=list)
    leaving: bool = False  # wanted no more: it drains, and is not started again
    kill_at: float = 0.0

    def next_life(self) -> children.Spec:
        """What is started now: it is told which of its earlier lives have ended.

        It can let go at once of what those held, for nothing of them runs any more.
        """
        if self.life:
            self.ended_lives = [*self.ended_lives, self.life][-MOST_ENDED_LIVES:]
        self.life = ids.token(4)
        told = {"PODIUM_LIFE": self.life, "PODIUM_ENDED_LIVES": json.dumps(self.ended_lives)}
        return replace(self.spec, env={**self.spec.env, **told})

    @property
    def word(self) -> str:
        """Its state, in one word."""
        if self.leaving:
            return "leaving"
        if not self.pid:
            return "restarting"
        return "healthy" if self.healthy else "starting"


class Supervisor:
    """One mesh: `run` returns when it has been stopped and nothing of it is left."""

    def __init__(self, mesh: Mesh, announce: Callable[[dict], None]) -> None:
        self._mesh = mesh
        self._announce = announce
        self._children: dict[str, Child] = {}
        self._alarms = Alarms(watch_terminal=not mesh.detached)
        self._began = time.monotonic()
        self._started_in_s = 0.0

    def run(self) -> None:
        """Bring the mesh up, keep it up, take it down."""
        processes.adopt_orphans()
        try:
            self._bring_up()
            while not self._alarms.stop_because:
                self._turn()
        finally:
            self._take_down()

    # ── up ────────────────────────────────────────────────────────────────────────────────

    def _bring_up(self) -> None:
        mesh = self._mesh
        for spec in mesh.programs():  # They start while Python imports.
            self._start(spec)
        self._announce({"progress": "loading"})
        _import_all(mesh.modules())
        _warn_of_threads()
        gc.collect()
        gc.freeze()
        for spec in mesh.replicas():
            self._start(spec)
        self._announce({"progress": "starting"})
        deadline = self._began + START_WITHIN_S
        while not self._all_healthy() and not self._alarms.stop_because:
            if time.monotonic() > deadline:
                raise CannotStart(self._why_not_healthy())
            self._turn()
        if self._alarms.stop_because:
            raise CannotStart(f"stopped while starting: {self._alarms.stop_because}")
        self._started_in_s = time.monotonic() - self._began
        self._write_state()
        log.info("healthy after %.1f s", self._started_in_s)
        self._announce({"healthy": True})

    def _start(self, spec: children.Spec) -> None:
        child = self._children.setdefault(spec.name, Child(spec))
        child.healthy = False
        child.started_at = time.monotonic()
        child.pid = children.fork(child.next_life())
        log.info("%s: started as %d", spec.name, child.pid)

    def _why_not_healthy(self) -> str:
        waiting = [child for child in self._children.values() if not child.healthy]
        lines = [f"not healthy after {START_WITHIN_S:.0f} s:"]
        for child in waiting:
            lines.append(f"{child.spec.name} ({child.word}), the end of {child.spec.log}:")
            lines.append(_last_words(child))
        return "\n".join(lines)

    # ── while up ──────────────────────────────────────────────────────────────────────────

    def _turn(self) -> None:
        """Wait for something to happen, and see to it."""
        self._alarms.wait(self._patience_s())
        self._reap()
        if self._alarms.look_again:
            self._alarms.look_again = False
            self._rescale()
        now = time.monotonic()
        for child in self._children.values():
            if not child.pid and child.restart_at <= now:
                child.restarts += 1
                self._start(child.spec)
            elif child.leaving and child.kill_at <= now:
                processes.send(child.pid, signal.SIGKILL)
                child.kill_at = now + GRACE_S
        self._look_at_health()

    def _rescale(self) -> None:
        """Start the replicas that are wanted besides, and drain those that are wanted no more."""
        self._mesh = self._mesh.scaled()
        wanted = {spec.name: spec for spec in self._mesh.replicas()}
        kept = {*wanted, *(spec.name for spec in self._mesh.programs())}
        for child in list(self._children.values()):
            if child.spec.name not in kept and not child.pid:
                del self._children[child.spec.name]
            elif child.spec.name not in kept and not child.leaving:
                log.info("%s: wanted no more", child.spec.name)
                child.leaving, child.kill_at = True, time.monotonic() + GRACE_S
                processes.send(child.pid, signal.SIGTERM)
        for name, spec in wanted.items():
            if name not in self._children:
                self._start(spec)
        self._write_state()

    def _patience_s(self) -> float | None:
        """How long nothing needs to be done unless a signal comes; None: for ever."""
        now = time.monotonic()
        waits = [child.restart_at - now for child in self._children.values() if not child.pid]
        waits += [child.kill_at - now for child in self._children.values() if child.leaving]
        if any(child.pid and not child.healthy for child in self._children.values()):
            waits.append(LOOK_AGAIN_EVERY_S if self._started_in_s else LOOK_EVERY_S)
        return max(0.0, min(waits)) if waits else None

    def _reap(self) -> None:
        """Collect the dead: children to restart, and adopted orphans to forget."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = next((each for each in self._children.values() if each.pid == pid), None)
            if child is not None:
                self._bury(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: Child, code: int) -> None:
        lived_s = time.monotonic() - child.started_at
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        level = logging.INFO if self._alarms.stop_because else logging.WARNING
        log.log(level, "%s: ended after %.1f s (%s)", child.spec.name, lived_s, how)
        steady = lived_s > STEADY_AFTER_S or child.healthy
        child.deaths_in_a_row = 1 if steady else child.deaths_in_a_row + 1
        pause_s = min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2 ** (child.deaths_in_a_row - 1))
        child.pid, child.healthy = 0, False
        child.restart_at = time.monotonic() + pause_s
        if self._alarms.stop_because:
            return
        if child.leaving:
            del self._children[child.spec.name]
            # It may be wanted again by now.
            self._alarms.look_again = True
        if not self._started_in_s and child.deaths_in_a_row >= MOST_DEATHS_AT_START:
            raise CannotStart(f"{child.spec.name} cannot start ({how}):\n{_last_words(child)}")
        if self._started_in_s:
            self._write_state()

    def _look_at_health(self) -> None:
        unsure = [c for c in self._children.values() if c.pid and not c.healthy]
        if not unsure:
            return
        called = admin.endpoints(self._mesh.admin_socket)
        for child in unsure:
            # Envoy may not have noticed yet that the one before died: ask the child as well.
            unknown = not (child.spec.behind_envoy and called)
            child.healthy = all(
                processes.listens(address) and called.get(address, unknown)
                for address in child.spec.addresses
            ) and (child.spec.name != "envoy" or admin.is_ready(self._mesh.admin_socket))
            if child.healthy:
                log.info("%s: healthy", child.spec.name)
        if self._started_in_s and any(child.healthy for child in unsure):
            self._write_state()

    def _all_healthy(self) -> bool:
        return all(child.healthy for child in self._children.values())

    def _write_state(self) -> None:
        described = [
            state.ChildState(
                name=child.spec.name,
                pid=child.pid,
                started=processes.start_time(child.pid),
                state=child.word,
                restarts=child.restarts,
                addresses=list(child.spec.addresses),
                log=str(child.spec.log),
            )
            for child in self._children.values()
        ]
        state.write(self._mesh.layout, self._mesh.describe(self._started_in_s, described))

    # ── down ──────────────────────────────────────────────────────────────────────────────

    def _take_down(self) -> None:
        """Replicas first, so that they can still use Envoy and Valkey while they drain."""
        self._alarms.stop_because = self._alarms.stop_because or "bring-up failed"
        log.info("stopping: %s", self._alarms.stop_because)
        programs = {spec.name for spec in self._mesh.programs()}
        self._end([c for c in self._children.values() if c.spec.name not in programs])
        self._end([c for c in self._children.values() if c.spec.name in programs])
        self._end_strays()
        self._mesh.layout.state_file.unlink(missing_ok=True)
        self._mesh.layout.forget_sockets()
        log.info("stopped")

    def _end(self, these: list[Child]) -> None:
        for child in these:
            processes.send(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        while any(child.pid for child in these) and time.monotonic() < deadline:
            self._alarms.wait(max(0.0, deadline - time.monotonic()))
            self._reap()
        for child in these:
            if child.pid:
                log.warning("%s: did not end in time, killed", child.spec.name)
                processes.send(child.pid, signal.SIGKILL)
        while any(child.pid for child in these):
            self._alarms.wait(0.1)
            self._reap()

    def _end_strays(self) -> None:
        """Whatever a replica started and left, such as a browser, was adopted by us: end it."""
        for pid in processes.descendants(os.getpid()):
            processes.send(pid, signal.SIGKILL)
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return


def _import_all(names: list[str]) -> None:
    """Import once for all replicas; one that cannot be imported says so in its own log."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:
            log.exception("cannot import %s", name)


def _warn_of_threads() -> None:
    """A thread does not survive a fork, and what it had locked stays locked in the child."""
    if (threads := len(list(Path("/proc/self/task").iterdir()))) > 1:
        log.error("importing started %d threads; replicas may hang", threads - 1)


def _last_words(child: Child) -> str:
    lines = child.spec.log.read_text(errors="replace").splitlines()[-15:]
    return "\n".join(f"  {line}" for line in lines)


def announce_on(descriptor: int) -> Callable[[dict], None]:
    """A voice for `up`, which may have gone away: then nobody listens and that is fine."""

    def announce(message: dict) -> None:
        try:
            os.write(descriptor, (json.dumps(message) + "\n").encode())
        except OSError:
            pass

    return announce


def oversee(mesh: Mesh, announce: Callable[[dict], None]) -> int:
    """Run a mesh to its end; the exit code says whether it ever stood."""
    try:
        Supervisor(mesh, announce).run()
    except CannotStart as why:
        log.error("cannot start: %s", why)
        announce({"problem": str(why)})
        return 1
    return 0
