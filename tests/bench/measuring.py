"""One measurement: runs of three no-op blocks through Envoy and the gateway, and what they cost."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import grpc

from gateway.cli import spans
from podium.run.v1 import run_pb2, run_pb2_grpc
from podium.workflow.v1 import workflow_pb2, workflow_pb2_grpc
from tests.chaos.stage import Stage

IN_FLIGHT = 50
DOCUMENT = {
    "name": "bench",
    "blocks": [
        {"label": label, "kind": "wait", "params": {"seconds": 0}} for label in ("a", "b", "c")
    ],
}
TIMEOUT_S = 120


@dataclass(frozen=True)
class Round:
    """What one round measured."""

    runs_per_s: float
    p50_ms: float
    p95_ms: float
    cpu_ms_per_run: float
    idle_p50_ms: float
    idle_p95_ms: float
    cpu_ms_by_process: dict[str, float]


@dataclass(frozen=True)
class Cost:
    """What one idle run needs, counted from its trace."""

    grpc_calls: int
    commits: int
    bus_messages: int


class Bench:
    """Starts runs on a mesh and waits for them, as a client would."""

    def __init__(self, stage: Stage, channel: grpc.aio.Channel) -> None:
        self._stage = stage
        self._runs = run_pb2_grpc.RunServiceStub(channel)
        self._workflows = workflow_pb2_grpc.WorkflowServiceStub(channel)
        self._metadata = (("x-api-key", stage.api_key),)
        self._workflow_id = ""

    async def prepare(self, warm_up: int) -> None:
        """Save the workflow and run it often enough that nothing is done for the first time."""
        request = workflow_pb2.CreateWorkflowRequest()
        request.document.update(DOCUMENT)
        made = await self._workflows.CreateWorkflow(request, metadata=self._metadata)
        self._workflow_id = made.workflow.workflow_id
        await self.loaded(warm_up)

    async def one(self) -> float:
        """One run from its start to its known end, in milliseconds."""
        began = time.perf_counter()
        await self._carried_out()
        return (time.perf_counter() - began) * 1000

    async def loaded(self, number: int) -> list[float]:
        """So many runs, 50 of them in flight all the time; how long each took."""
        left, took_ms = iter(range(number)), []

        async def client() -> None:
            for _ in left:
                took_ms.append(await self.one())

        async with asyncio.TaskGroup() as group:
            for _ in range(min(IN_FLIGHT, number)):
                group.create_task(client())
        return took_ms

    async def round(self, number: int) -> Round:
        """Loaded, then idle."""
        began, before = time.perf_counter(), self._stage.cpu_s()
        loaded = await self.loaded(number)
        lasted_s, after = time.perf_counter() - began, self._stage.cpu_s()
        used_ms = {name: (after[name] - before[name]) * 1000 / number for name in after}
        idle = [await self.one() for _ in range(max(20, number // 10))]
        return Round(
            runs_per_s=number / lasted_s,
            p50_ms=statistics.median(loaded),
            p95_ms=percentile(loaded, 0.95),
            cpu_ms_per_run=sum(used_ms.values()),
            idle_p50_ms=statistics.median(idle),
            idle_p95_ms=percentile(idle, 0.95),
            cpu_ms_by_process=used_ms,
        )

    async def cost(self) -> Cost:
        """Calls, commits and messages of a run that is alone."""
        run_id = await self._carried_out()
        folder = self._stage.home / "traces"
        found: dict[str, Any] = {}
        for _ in range(50):  # What is told about the end is published a moment after it.
            await asyncio.sleep(0.1)
            now = spans.cost(spans.of_run(folder, run_id))
            if now == found and now["commits"]:
                break
            found = now
        return Cost(found["grpc_calls"], found["commits"], found["bus_messages"])

    async def _carried_out(self) -> str:
        request = run_pb2.CreateRunRequest(workflow_id=self._workflow_id)
        options: dict[str, Any] = {"metadata": self._metadata, "timeout": TIMEOUT_S}
        run_id = (await self._runs.CreateRun(request, **options)).run_id
        wait = run_pb2.WaitRunRequest(run_id=run_id)
        wait.timeout.FromSeconds(TIMEOUT_S)
        answer = await self._runs.WaitRun(wait, **options)
        assert answer.run.state == run_pb2.RUN_STATE_COMPLETED, answer.run
        return run_id


@asynccontextmanager
async def bench(stage: Stage) -> AsyncIterator[Bench]:
    """A bench on a mesh."""
    async with grpc.aio.insecure_channel(stage.edge) as channel:
        yield Bench(stage, channel)


def medians(rounds: list[Round]) -> Round:
    """Each figure's median over the rounds."""
    columns = [asdict(each) for each in rounds]
    by_process = [each.pop("cpu_ms_by_process") for each in columns]

    def middle(of: list[dict[str, float]]) -> dict[str, float]:
        return {name: statistics.median(each[name] for each in of) for name in of[0]}

    return Round(**middle(columns), cpu_ms_by_process=middle(by_process))


def percentile(values: list[float], part: float) -> float:
    """The smallest value that at least this part of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]
