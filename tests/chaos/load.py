"""Steady load: clients that start runs, follow them, and try again when something breaks.

Each request carries an idempotency key and is repeated until it is answered; each stream is opened
again after the last sequence that the client saw. What the clients saw is kept for the invariants.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc

from podium.run.v1 import run_pb2, run_pb2_grpc
from podium.totp.v1 import totp_pb2, totp_pb2_grpc
from tests.chaos import workflows
from tests.chaos.stage import Stage
from tests.chaos.workflows import Kind
from tests.chaos.world import USERNAME, World

# The kinds of each client, so that every kind is always under way.
CLIENTS = (
    ("linear", "flaky"),
    ("saga-a", "saga-b", "saga-c"),
    ("fan-out",),
    ("wait", "linear"),
    ("rest", "fan-out"),
    ("cancel", "saga-b"),
    ("linear", "fan-out"),
)
WITH_A_PAGE = ("code",)
PAUSE_S = 0.15
FINAL = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}
CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
]


class Refused(Exception):
    """A client was told something that no fault excuses."""


@dataclass
class Followed:
    """One run as its client saw it."""

    kind: Kind
    key: str
    began: float
    run_id: str = ""
    answered: set[str] = field(default_factory=set)  # the run ids that its key was answered with
    events: list[run_pb2.RunEvent] = field(default_factory=list)
    seen_at: list[float] = field(default_factory=list)
    streams: int = 0
    ended: float = 0.0
    run: Any = None

    @property
    def sequences(self) -> list[int]:
        """The sequences in the order in which the client saw them."""
        return [event.sequence for event in self.events]


class Load:
    """The clients of one campaign."""

    def __init__(self, stage: Stage, world: World, seed: int, pages: bool) -> None:
        self.followed: list[Followed] = []
        self.refusals: list[str] = []
        self._stage, self._world = stage, world
        self._random = random.Random(seed)
        self._kinds = workflows.kinds(world)
        self._ids: dict[str, str] = {}
        self._clients = CLIENTS + ((WITH_A_PAGE,) if pages else ())
        self._ending = asyncio.Event()
        self._metadata = (("x-api-key", stage.api_key),)

    async def run(self) -> None:
        """Prepare the mesh, then load it until `end` is called and every run has ended."""
        headers = {"x-api-key": self._stage.api_key}
        limit = aiohttp.ClientTimeout(total=12)
        async with (
            aiohttp.ClientSession(headers=headers, timeout=limit) as self._http,
            grpc.aio.insecure_channel(self._stage.edge, options=CHANNEL) as channel,
        ):
            self._runs = run_pb2_grpc.RunServiceStub(channel)
            self._totp = totp_pb2_grpc.TotpServiceStub(channel)
            await self._prepare()
            async with asyncio.TaskGroup() as group:
                codes = group.create_task(self._give_codes())
                clients = [
                    group.create_task(self._client(number, kinds))
                    for number, kinds in enumerate(self._clients)
                ]
                await asyncio.gather(*clients)
                codes.cancel()

    def end(self) -> None:
        """Start no more runs."""
        self._ending.set()

    async def _prepare(self) -> None:
        wanted = {"url": f"{self._world.url}/hooks", "event_types": ["run.finished"]}
        made = await self._post("/v1/webhook_endpoints", wanted)
        self._world.secret = made["secret"]
        await self._post("/v1/credentials", workflows.credential())
        for name, kind in self._kinds.items():
            made = await self._post("/v1/workflows", {"document": kind.document})
            self._ids[name] = made["workflow"]["workflow_id"]

    async def _client(self, number: int, kinds: tuple[str, ...]) -> None:
        turn = 0
        while not self._ending.is_set():
            kind = self._kinds[kinds[turn % len(kinds)]]
            followed = Followed(
                kind, f"{number}-{turn}-{self._random.getrandbits(32)}", time.time()
            )
            self.followed.append(followed)
            with contextlib.suppress(Refused):
                await self._carry(followed)
            turn += 1
            await asyncio.sleep(PAUSE_S)

    async def _carry(self, followed: Followed) -> None:
        """One run: started, canceled if it is of that kind, and followed to its end."""
        order = {
            "workflow_id": self._ids[followed.kind.name],
            "idempotency_key": followed.key,
            "parameters": followed.kind.parameters,
            "timeout": "120s",
        }
        answer = await self._post("/v1/runs", order)
        followed.run_id = answer["run_id"]
        followed.answered.add(answer["run_id"])
        # A client that is not sure asks again: it must be told of the same run.
        if self._random.random() < 0.2:
            followed.answered.add((await self._post("/v1/runs", order))["run_id"])
        following = asyncio.create_task(self._follow(followed))
        try:
            if followed.kind.canceled:
                await self._cancel(followed)
        finally:
            await following
        request = run_pb2.GetRunRequest(run_id=followed.run_id)
        followed.run = (await self._call(self._runs.GetRun, request)).run
        followed.ended = time.time()

    async def _follow(self, followed: Followed) -> None:
        """The history from where the client stands, over as many streams as it takes."""
        while not followed.events or followed.events[-1].type != "run.finished":
            after = followed.events[-1].sequence if followed.events else 0
            followed.streams += 1
            request = run_pb2.WatchRunRequest(run_id=followed.run_id, after_sequence=after)
            try:
                async for answer in self._runs.WatchRun(request, metadata=self._metadata):
                    followed.events.append(answer.event)
                    followed.seen_at.append(time.time())
            except grpc.aio.AioRpcError as broken:
                if _is_final(broken):
                    self._refuse(f"WatchRun {followed.run_id}: {broken.code()} {broken.details()}")
                await asyncio.sleep(0.1)

    async def _cancel(self, followed: Followed) -> None:
        while not self._world.of_run(followed.run_id) and not followed.ended:
            await asyncio.sleep(0.05)
        request = run_pb2.CancelRunRequest(run_id=followed.run_id, reason="chaos")
        await self._call(self._runs.CancelRun, request)

    async def _give_codes(self) -> None:
        """Whoever waits for a code is sent one, as a person would."""
        waiting = totp_pb2.CHALLENGE_STATE_WAITING
        given: set[str] = set()
        while True:
            await asyncio.sleep(0.3)
            request = totp_pb2.ListChallengesRequest(page_size=20)
            listed = await self._call(self._totp.ListChallenges, request)
            for challenge in listed.challenges:
                if challenge.state == waiting and challenge.challenge_id not in given:
                    given.add(challenge.challenge_id)
                    message = {"identifier": USERNAME, "content": "Your code is 482913."}
                    await self._post("/v1/totp/messages", message)

    async def _call(self, method: Any, request: Any) -> Any:
        """An idempotent call, repeated until it is answered."""
        while True:
            try:
                return await method(request, metadata=self._metadata, timeout=8)
            except grpc.aio.AioRpcError as failed:
                if _is_final(failed):
                    self._refuse(f"{type(request).__name__}: {failed.code()} {failed.details()}")
                await asyncio.sleep(0.2)

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A POST with an idempotency key in its body, repeated until it is answered."""
        while True:
            try:
                url = f"http://{self._stage.edge}{path}"
                async with self._http.post(url, json=body) as answer:
                    if answer.status < 300:
                        return await answer.json()
                    told = await answer.text()
            except (aiohttp.ClientError, TimeoutError, OSError):
                told = ""
            else:
                if answer.status in (400, 404, 409, 500, 501):
                    self._refuse(f"POST {path}: {answer.status} {told}")
            await asyncio.sleep(0.2)

    def _refuse(self, what: str) -> None:
        """An answer that no fault excuses; a client that met one gives up on its run."""
        self.refusals.append(what)
        raise Refused(what)


def _is_final(failed: grpc.aio.AioRpcError) -> bool:
    """Whether trying again cannot help; a stream that Envoy reset when its end died can."""
    return failed.code() in FINAL and "RST_STREAM" not in (failed.details() or "")
