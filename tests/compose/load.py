"""A steady load on the edge: reads that must never fail, and runs of which none may be lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from libs import ids
from tests.mesh import doors
from tests.mesh.doors import Refused, word
from tests.support.eventually import eventually

READS = (
    ("run.ListRuns", {"page_size": 5}),
    ("workflow.ListWorkflows", {"page_size": 5}),
    ("totp.ListCredentials", {"page_size": 5}),
    ("browser_session.ListSessions", {"page_size": 5}),
    ("webhook.ListEndpoints", {"page_size": 5}),
)
READERS = 2
PAUSE_S = 0.05
RUN_PAUSE_S = 0.5
# A run is asked for again with its key until it is accepted; more often would be an outage.
MOST_ATTEMPTS = 60


@dataclass
class Load:
    """What was asked and what came of it."""

    reads: int = 0
    failures: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    run_every_s: float = RUN_PAUSE_S

    async def read(self, door: doors.Door) -> None:
        """Every read, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            for rpc, request in READS:
                began = loop.time()
                try:
                    await door.ask(rpc, request)
                except Exception as error:
                    self.failures.append(f"{rpc}: {error!r}")
                self.slowest_s = max(self.slowest_s, loop.time() - began)
                self.reads += 1
            await asyncio.sleep(PAUSE_S)

    async def run(self, door: doors.Door, workflow: str) -> None:
        """A short run now and then; each has a key, so that asking again does not double it."""
        while True:
            request = {"workflow_id": workflow, "idempotency_key": ids.token(9)}
            for _ in range(MOST_ATTEMPTS):
                try:
                    self.runs.append((await door.ask("run.CreateRun", request))["run_id"])
                    break
                except (Refused, OSError) as error:
                    self.refused.append(repr(error))
                    await asyncio.sleep(RUN_PAUSE_S)
            await asyncio.sleep(self.run_every_s)

    async def goes_on(self) -> None:
        """Runs are accepted (again)."""
        before = len(self.runs)
        await eventually(lambda: len(self.runs) >= before + 2, within=60)

    async def all_completed(self, door: doors.Door) -> None:
        """Every accepted run has reached its end, whole."""
        assert self.runs
        for run_id in list(self.runs):
            ended = await door.wait(run_id, within_s=120)
            assert word(ended["state"]) == "COMPLETED", ended
            history = await door.watch(run_id)
            assert [int(e["sequence"]) for e in history] == list(range(1, len(history) + 1))


@contextlib.asynccontextmanager
async def load(mesh, run_every_s: float = RUN_PAUSE_S) -> AsyncIterator[tuple[Load, doors.Door]]:
    """Loads the mesh inside the block, over REST and gRPC."""
    found = Load(run_every_s=run_every_s)
    async with doors.opened("rest", mesh) as rest, doors.opened("grpc", mesh) as grpc:
        name = f"load-{ids.new('wf')[3:]}"
        block = {"label": "pause", "kind": "wait", "params": {"seconds": 1}}
        await rest.ask("workflow.CreateWorkflow", {"document": {"name": name, "blocks": [block]}})
        readers = [found.read(door) for door in (rest, grpc) for _ in range(READERS // 2)]
        tasks = [asyncio.create_task(work) for work in (*readers, found.run(rest, name))]
        try:
            yield found, rest
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    broken = [o for o in outcomes if not isinstance(o, asyncio.CancelledError)]
    assert not broken, broken
