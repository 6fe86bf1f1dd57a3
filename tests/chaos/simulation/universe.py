"""One seed: two replicas of run and of workflow, real code, a few runs, crashes, and a verdict."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from libs import context, db, egress, errors, history, ids
from libs.events.bus import Bus
from libs.recovery import Recoveries
from libs.relay import Relay
from libs.secrets import Vault
from libs.settings import load
from libs.signals import Signals
from libs.worker import Worker
from podium.browser_session.v1 import browser_session_pb2
from podium.run.v1 import run_pb2
from podium.totp.v1 import totp_pb2
from podium.workflow.v1 import workflow_pb2
from services.run import store as run_store
from services.run.saga import Saga
from services.run.service import RunService
from services.run.steps import Others, Steps
from services.workflow import store as workflow_store
from services.workflow.engine import Engine
from services.workflow.execution import Tools
from services.workflow.service import WorkflowService
from tests.chaos.simulation.bus import SimulatedBus, Streams
from tests.chaos.simulation.processes import Calls, Dice, Process, SimulatedDatabase, Store
from tests.chaos.simulation.virtual import VirtualClock

ORGANIZATION = "org_simulated"
END_WITHIN_S = 300.0
RESTART_S = (0.1, 0.5)
# Shorter than by default, as the bus' patience is: a shorter wait after each crash.
LEASE_S = 1.5
# Twice what it is by default: half as many looks that find nothing.
SWEEP_S = 1.0
RUNS = 1
MOST_FAULTS = 4
SETTINGS = load()


class Browsers:
    """Stands in for browser_session and totp, which are not simulated."""

    async def CancelChallenges(self, _request: Any, _context: Any) -> Any:
        return totp_pb2.CancelChallengesResponse()

    async def ReleaseSession(self, _request: Any, _context: Any) -> Any:
        return browser_session_pb2.ReleaseSessionResponse()


@dataclass
class Universe:
    """Everything of one seed."""

    seed: int
    stores: dict[str, Store] = field(default_factory=dict)
    streams: Streams = field(default_factory=Streams)
    replicas: dict[str, list[tuple[Process, Any]]] = field(default_factory=dict)
    hints: dict[str, list[Signals]] = field(default_factory=dict)
    effects: list[tuple[str, str]] = field(default_factory=list)  # step key, label
    lives: int = 0
    ended: bool = False
    hands: list[asyncio.Task[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        dice = random.Random(self.seed)
        self.dice = Dice(dice, crash=0.02, stop=0.004, faults_left=0)
        self.clock = VirtualClock()
        self._folder = tempfile.TemporaryDirectory(prefix="simulation-")
        self.stores = {
            "run": Store.empty(run_store.METADATA),
            "workflow": Store.empty(workflow_store.METADATA),
        }
        self._fakes = [(Process("fakes", Dice(dice, 0, 0, 0), lambda _: None), Browsers())]

    async def effect(
        self, _client: Any, _method: str, url: str, *, headers: Any, body: bytes, limit: int
    ) -> egress.Answer:
        """The outside world, in place of libs.egress.exchange."""
        label = url.rpartition("/")[2]
        await asyncio.sleep(self.dice.random.uniform(0, 0.1))
        self.effects.append((headers["Idempotency-Key"], label))
        await asyncio.sleep(self.dice.random.uniform(0, 0.1))
        status = 422 if json.loads(body)["fail_at"] == label else 200
        return egress.Answer(status, {}, b"{}", truncated=False)

    def start(self, service: str, number: int) -> None:
        """One life of a replica."""
        self.lives += 1

        def died(process: Process) -> None:
            self.replicas[service] = [e for e in self.replicas[service] if e[0] is not process]
            self.hands.append(asyncio.ensure_future(self._again(service, number)))

        process = Process(f"{service}-{number}-{self.lives}", self.dice, died)
        signals = Signals(None, self.clock)
        database = SimulatedDatabase(
            self.clock, service, store=self.stores[service], process=process
        )
        bus: Bus = SimulatedBus(self.streams, process)
        relay = Relay(database, bus, service, self.clock)
        self.hints.setdefault(service, []).append(signals)

        def after_commit(tx: db.Tx) -> None:
            relay.hand_over(tx)
            for topic in tx.topics:
                for each in self.hints[service]:
                    if each is signals or self.dice.random.random() < 0.9:  # Hints get lost.
                        each.notify(topic)

        database.after_commit = after_commit
        opened = self._run if service == "run" else self._workflow
        servicer = opened(process, database, signals)
        self.replicas.setdefault(service, []).append((process, servicer))
        process.spawn(relay.run())
        if subscriptions := getattr(servicer, "subscriptions", ()):
            process.spawn(bus.consume(service, process.name, subscriptions))

    async def _again(self, service: str, number: int) -> None:
        await asyncio.sleep(self.dice.random.uniform(*RESTART_S))
        self.start(service, number)

    def _stub(self, caller: Process, service: str) -> Calls:
        return Calls(caller, lambda: self.replicas.get(service, self._fakes))

    def _run(self, process: Process, database: db.Database, signals: Signals) -> RunService:
        workflow, fakes = self._stub(process, "workflow"), self._stub(process, "fakes")
        others = Others(workflow, fakes, fakes)
        steps = Steps(database, signals, others, Vault({1: bytes(32)}))
        saga = Saga(database, signals, self.clock, steps)
        worker = Worker(
            "saga",
            database=database,
            signals=signals,
            clock=self.clock,
            owner=process.name,
            topic=run_store.DUE_TOPIC,
            table=run_store.runs,
            key_column="run_id",
            due=run_store.due,
            perform=saga.perform,
            ttl_s=LEASE_S,
            sweep_s=SWEEP_S,
        )
        process.spawn(worker.run())
        parts = {"db": database, "signals": signals, "clock": self.clock, "settings": SETTINGS}
        mesh: Any = SimpleNamespace(**parts)
        return RunService(mesh, others)

    def _workflow(
        self, process: Process, database: db.Database, signals: Signals
    ) -> WorkflowService:
        service = WorkflowService(database)
        nothing: Any = None
        tools = Tools(self.clock, nothing, nothing)
        recoveries = Recoveries(
            database, self.clock, "workflow", process.name, Path(self._folder.name)
        )
        engine = Engine(
            database,
            signals,
            process.name,
            service._definitions,
            tools,
            recoveries=recoveries,
            lease_ttl_s=LEASE_S,
            sweep_s=SWEEP_S,
        )
        process.spawn(engine.run())
        return service

    # ── the client and the verdict ────────────────────────────────────────────────────────

    async def live(self) -> list[str]:
        """Some runs from start to end; the violations."""
        for service in ("workflow", "run"):
            for number in (1, 2):
                self.start(service, number)
        client = Process("client", Dice(self.dice.random, 0, 0, 0), lambda _: None)
        fails = [self.dice.random.choice(("", "", "a", "b", "c")) for _ in range(RUNS)]
        with context.bind(organization_id=ORGANIZATION, caller="gateway"):
            workflow = self._stub(client, "workflow")
            saved = await _patiently(lambda: workflow.CreateWorkflow(_definition()))
            workflow_id = saved.workflow.workflow_id
            self.dice.faults_left = self.dice.random.randint(0, MOST_FAULTS)
            together = [self._one(client, workflow_id, n, at) for n, at in enumerate(fails)]
            found = [why for each in await asyncio.gather(*together) for why in each]
        return found + self._histories()

    async def close(self) -> None:
        """End what is left of every process."""
        self.dice.over = True
        me = asyncio.current_task()
        while left := [task for task in asyncio.all_tasks() if task is not me]:
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        self._folder.cleanup()

    async def _one(self, client: Process, workflow_id: str, number: int, fail_at: str) -> list[str]:
        runs = self._stub(client, "run")
        request = run_pb2.CreateRunRequest(workflow_id=workflow_id, idempotency_key=f"k{number}")
        request.parameters.update({"fail_at": fail_at})
        made = await _patiently(lambda: runs.CreateRun(request))
        again = await _patiently(lambda: runs.CreateRun(request))
        found = [] if again.run_id == made.run_id else [f"key k{number} has two runs"]
        asked = run_pb2.GetRunRequest(run_id=made.run_id)
        end = self.clock.monotonic() + END_WITHIN_S
        while True:
            run = (await _patiently(lambda: runs.GetRun(asked))).run
            if run.state > run_pb2.RUN_STATE_PAUSED:
                break
            if self.clock.monotonic() > end:
                return [*found, f"{made.run_id} has not ended: {run_pb2.RunState.Name(run.state)}"]
            await asyncio.sleep(1.0)
        return found + self._judge(run, fail_at)

    def _judge(self, run: run_pb2.Run, fail_at: str) -> list[str]:
        expected = run_pb2.RUN_STATE_FAILED if fail_at else run_pb2.RUN_STATE_COMPLETED
        found = []
        if run.state != expected:
            found.append(f"ended {run_pb2.RunState.Name(run.state)}: {run.failure.reason}")
        labels = "abc"[: "abc".index(fail_at) + 1] if fail_at else "abc"
        keys = {key for key, _ in self.effects if key.startswith(run.run_id)}
        if keys != {f"{run.run_id}/{label}/1" for label in labels}:
            found.append(f"effects of {sorted(keys)}, expected {labels}")
        first = Counter[str]()
        for at, (key, label) in enumerate(self.effects):
            if key in keys:
                first.setdefault(label, at)
        if list(first) != list(labels):
            found.append(f"effects in the order {list(first)}")
        half = [s.name for s in run.steps if s.state in (1, 2, 3) and s.name != "send_webhooks"]
        if fail_at and half:
            found.append(f"failed, but {half} is not undone")
        return found

    def _histories(self) -> list[str]:
        found = []
        tx = db.Tx(self.stores["run"].connection, self.clock)
        for (run_id,) in tx.execute(sa.select(run_store.runs.c.run_id)).all():
            entries, previous = history.since(tx, run_id, 0), ""
            if [entry.sequence for entry in entries] != list(range(1, len(entries) + 1)):
                found.append(f"{run_id}: gaps in the history")
            for e in entries:
                facts = (e.stream_id, e.sequence, e.type, e.source, e.occurred_at, e.data)
                previous = history.chained(previous, *facts)
                if previous != e.hash:
                    found.append(f"{run_id}: the hash of {e.sequence} is wrong")
            types = [entry.type for entry in entries]
            if types.count("run.finished") != 1 or types[-1] != "run.finished":
                found.append(f"{run_id}: its history ends with {types[-3:]}")
            undone = Counter(e.data["step"] for e in entries if e.type == "saga.step_compensated")
            if twice := [step for step, times in undone.items() if times > 1]:
                found.append(f"{run_id}: {twice} was undone twice")
            if types.count("block.started") != types.count("block.finished"):
                found.append(f"{run_id}: {Counter(types)}")
        return found


def _definition() -> workflow_pb2.CreateWorkflowRequest:
    request = workflow_pb2.CreateWorkflowRequest()
    blocks = [
        {
            "label": label,
            "kind": "http_request",
            "params": {
                "url": f"http://world/{label}",
                "method": "POST",
                "json": {"fail_at": "{{ parameters.fail_at }}"},
            },
        }
        for label in "abc"
    ]
    parameters = [{"key": "fail_at", "default": ""}]
    request.document.update({"name": "simulated", "parameters": parameters, "blocks": blocks})
    return request


async def _patiently(call: Any) -> Any:
    while True:
        try:
            return await call()
        except errors.Unavailable:
            await asyncio.sleep(0.2)


async def lived(seed: int) -> list[str]:
    """The violations of one seed."""
    universe = Universe(seed)
    usual, jitter = egress.exchange, ids.fraction
    egress.exchange, ids.fraction = universe.effect, universe.dice.random.random  # type: ignore
    try:
        return await universe.live()
    finally:
        egress.exchange, ids.fraction = usual, jitter
        await universe.close()
