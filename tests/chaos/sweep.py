"""The crash-point sweep: a process dies at its n-th commit, just before it and just after.

Single processes without Envoy, each service once: what a crash leaves is taken up by the same
service started again. Every run has to end as its kind ends, and the invariants have to hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy import layout, processes
from deploy.layout import Layout
from libs import context, errors
from libs.rpc import client
from libs.settings import child_environment
from podium.run.v1 import run_pb2, run_pb2_grpc
from podium.webhook.v1 import webhook_pb2, webhook_pb2_grpc
from podium.workflow.v1 import workflow_pb2, workflow_pb2_grpc
from tests.chaos import invariants, workflows, world
from tests.chaos.books import Books, LeaseWatch
from tests.chaos.invariants import Evidence
from tests.chaos.load import Followed
from tests.chaos.nemesis import Fault, Window
from tests.support.mesh import PUBLIC_KEY, VAULT_KEYS, token
from tests.support.valkey import valkey

SWEPT = ("run", "workflow")
KINDS = ("linear", "saga-c")
TOGETHER = ("run", "workflow", "totp", "webhook")
END_WITHIN_S = 40.0
# More than any run of these kinds makes; a sweep ends at the first point that is not reached.
MOST_COMMITS = 40


@dataclass(frozen=True)
class Case:
    """One crash point."""

    service: str
    when: str
    number: int
    kind: str

    @property
    def setting(self) -> str:
        """As the process is told."""
        return f"{self.service}:{self.when}:{self.number}"

    def __str__(self) -> str:
        return f"{self.setting} ({self.kind})"


@dataclass
class Processes:
    """The services' processes, started by a nursery."""

    home: Path
    redis_url: str
    nursery: subprocess.Popen[str]
    pids: dict[str, tuple[int, int]] = field(default_factory=dict)  # pid and start time

    def start(self, service: str, crash_at: str = "") -> None:
        """Start a service's process, with a crash point or without."""
        where = Layout(self.home)
        peers = {name: where.target(name) for name in TOGETHER}
        env = {
            "PODIUM_SERVICE": service,
            "PODIUM_HOME": str(self.home),
            "PODIUM_LISTEN": where.target(service),
            "PODIUM_PEERS": json.dumps(peers),
            "PODIUM_REDIS_URL": self.redis_url,
            "PODIUM_SERVICE_TOKEN": token(service),
            "PODIUM_TOKEN_PUBLIC_KEY": PUBLIC_KEY,
            "PODIUM_VAULT_KEYS": VAULT_KEYS,
            "PODIUM_ALLOW_PRIVATE_TARGETS": "true",
            "PODIUM_TRACES": "false",
            "PODIUM_LEASE_TTL_S": "1",
            "PODIUM_WEBHOOK_SCHEDULE_SCALE": "0.05",
            "PODIUM_CRASH_AT": crash_at,
        }
        order = {"name": service, "module": f"services.{service}", "env": env}
        answer = self._ask(order | {"log": str(where.log(service))})
        self.pids[service] = (answer["pid"], processes.start_time(answer["pid"]))

    def lives(self, service: str) -> bool:
        """Whether its process runs."""
        return processes.is_running(*self.pids[service])

    def kill(self, service: str) -> None:
        """End it in the hard way."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[service][0], signal.SIGKILL)

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.write(json.dumps(order) + "\n")
        self.nursery.stdin.flush()
        return json.loads(self.nursery.stdout.readline())


@contextlib.contextmanager
def nursery(home: Path, redis_url: str) -> Iterator[Processes]:
    """A nursery for the block; all its processes end with it."""
    Layout(home).create()
    environment = child_environment(GRPC_ENABLE_FORK_SUPPORT="false")
    opened = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.nursery"],
        cwd=layout.ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert opened.stdout is not None
        opened.stdout.readline()
        yield Processes(home, redis_url, opened)
    finally:
        opened.kill()
        opened.wait()


class Sweep:
    """Carries cases out, one after the other, on the same processes."""

    def __init__(self, together: Processes, outside: world.World) -> None:
        self.followed: list[Followed] = []
        self.windows: list[Window] = []
        self._together, self._world = together, outside
        self._kinds = workflows.kinds(outside)
        self._ids: dict[str, str] = {}

    async def prepare(self) -> None:
        """The workflows and the webhook endpoint."""
        for service in TOGETHER:
            self._together.start(service)
        hooks = webhook_pb2.CreateEndpointRequest(
            url=f"{self._world.url}/hooks", event_types=["run.finished"]
        )
        async with self._stub(webhook_pb2_grpc.WebhookServiceStub) as webhook:
            self._world.secret = (await _patiently(lambda: webhook.CreateEndpoint(hooks))).secret
        async with self._stub(workflow_pb2_grpc.WorkflowServiceStub) as saved:
            for name in KINDS:
                request = workflow_pb2.CreateWorkflowRequest()
                request.document.update(self._kinds[name].document)
                made = await _patiently(lambda r=request: saved.CreateWorkflow(r))
                self._ids[name] = made.workflow.workflow_id

    async def carry_out(self, case: Case) -> bool:
        """One case; False when the run ended before its service came to the point."""
        self._together.kill(case.service)
        self._together.start(case.service, case.setting)
        window = Window(Fault(0, "crash", case.setting), time.time())
        self.windows.append(window)
        followed = Followed(self._kinds[case.kind], f"{case}", time.time())
        self.followed.append(followed)
        restarting = asyncio.create_task(self._restart_when_dead(case.service))
        try:
            async with asyncio.timeout(END_WITHIN_S):
                await self._run(followed)
        except TimeoutError:
            pass  # The invariants say it.
        restarting.cancel()
        window.ended = time.time()
        died = any(await asyncio.gather(restarting, return_exceptions=True)) and (
            not restarting.cancelled()
        )
        if not died:
            # It would still come to its point while others are looked at, and stay dead.
            self._together.kill(case.service)
            self._together.start(case.service)
        return died

    async def _restart_when_dead(self, service: str) -> bool:
        while self._together.lives(service):
            await asyncio.sleep(0.02)
        self._together.start(service)
        return True

    async def _run(self, followed: Followed) -> None:
        request = run_pb2.CreateRunRequest(
            workflow_id=self._ids[followed.kind.name], idempotency_key=followed.key
        )
        request.parameters.update(followed.kind.parameters)
        async with self._stub(run_pb2_grpc.RunServiceStub) as runs:
            made = await _patiently(lambda: runs.CreateRun(request))
            followed.run_id = made.run_id
            followed.answered.add(made.run_id)
            while not followed.events or followed.events[-1].type != "run.finished":
                await self._watch(runs, followed)
            asked = run_pb2.GetRunRequest(run_id=made.run_id)
            followed.run = (await _patiently(lambda: runs.GetRun(asked))).run

    async def _watch(self, runs: Any, followed: Followed) -> None:
        followed.streams += 1
        after = followed.events[-1].sequence if followed.events else 0
        request = run_pb2.WatchRunRequest(run_id=followed.run_id, after_sequence=after)
        try:
            async for answer in runs.WatchRun(request):
                followed.events.append(answer.event)
        except errors.Unavailable:
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _stub(self, kind: type[Any]) -> AsyncIterator[Any]:
        service = kind.__module__.split(".")[1]
        async with client.channel(Layout(self._together.home).target(service)) as channel:
            with context.bind(organization_id="org_sweep"):
                yield client.stub(kind, channel, token("gateway"))

    async def evidence(self) -> Evidence:
        """What was noted, once everything is at rest."""
        books = Books(self._together.home, "", self._together.redis_url)
        left = await books.left_after(20.0, TOGETHER)
        return Evidence(
            followed=self.followed,
            refusals=[],
            world=self._world,
            windows=self.windows,
            watch=LeaseWatch(books),
            stored=await books.history(),
            rows=await books.rows("run", "SELECT * FROM runs"),
            left=left,
        )


async def _patiently(call: Callable[[], Any]) -> Any:
    end = time.monotonic() + END_WITHIN_S
    while True:
        try:
            return await call()
        except (errors.Unavailable, errors.DeadlineExceeded, errors.Cancelled):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)


async def swept(home: Path, cases: list[Case] | None) -> tuple[list[Case], list[str]]:
    """Carry out the given cases, or every one there is; those reached, and the violations."""
    with valkey() as redis_url, nursery(home, redis_url) as together:
        async with world.opened() as outside:
            sweep = Sweep(together, outside)
            await sweep.prepare()
            reached: list[Case] = []
            for series in [[case] for case in cases] if cases is not None else every():
                for case in series:
                    if not await sweep.carry_out(case):
                        break
                    reached.append(case)
            return reached, invariants.violations(await sweep.evidence())


def every() -> Iterator[list[Case]]:
    """All points: for each service, kind and side, as far as they are reached."""
    for service in SWEPT:
        for kind in KINDS:
            for when in ("before", "after"):
                yield [Case(service, when, number, kind) for number in range(1, MOST_COMMITS)]
