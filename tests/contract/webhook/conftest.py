"""A webhook service, and a real site whose paths receive its messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from redis.asyncio import Redis

from libs import ids
from podium.common.v1 import event_pb2
from podium.webhook.v1 import webhook_pb2 as pb
from podium.webhook.v1 import webhook_pb2_grpc as pb_grpc
from services.webhook.service import WebhookService
from tests.support.eventually import eventually
from tests.support.mesh import Running, running
from tests.support.serving import served

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Received:
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float


def status(code: int, **headers: str) -> Answer:
    """An answer with a status and headers (underscores stand for dashes)."""

    async def answer(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, text=f"answer {code}", headers=named)

    return answer


async def hang(request: web.Request) -> web.StreamResponse:
    """No answer until the caller gives up."""
    await asyncio.Event().wait()
    raise AssertionError


async def drip(request: web.Request) -> web.StreamResponse:
    """The status at once, and then a byte now and again, without end."""
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b".")
            await asyncio.sleep(0.05)
    return response


async def flood(request: web.Request) -> web.StreamResponse:
    """10 MiB."""
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(160):
            await response.write(b"x" * 65536)
    return response


@dataclass
class Sink:
    """A receiver: each path answers what it was told to, in turn, the last for ever."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    def answer(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return self.url + path

    def at(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body, now = await request.read(), asyncio.get_running_loop().time()
        self.received.append(Received(request.path, dict(request.headers), body, now))
        turns = self.answers[request.path]
        turn = turns.pop(0) if len(turns) > 1 else (turns[0] if turns else status(204))
        return await turn(request)


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", sink.handle)
    async with served(app) as sink.url:
        yield sink


@dataclass
class World:
    """The service as the gateway and the other services have it, for one fresh organisation."""

    service: Running
    organization: str = field(default_factory=lambda: f"org_{ids.token(6)}")

    def stub(self, organization: str = "") -> Any:
        return self.service.stub(
            pb_grpc.WebhookServiceStub, organization=organization or self.organization
        )

    async def endpoint(self, url: str, *event_types: str) -> tuple[pb.Endpoint, str]:
        request = pb.CreateEndpointRequest(url=url, event_types=event_types)
        made = await self.stub().CreateEndpoint(request)
        return made.endpoint, made.secret

    def event(self, type_: str, source: str = "run", run_id: str = "", **data: Any) -> Any:
        event = event_pb2.Event(
            event_id=ids.new("evt"),
            type=type_,
            source=source,
            organization_id=self.organization,
            run_id=run_id,
            request_id=ids.new("req"),
        )
        event.occurred_at.FromDatetime(datetime.now(UTC))
        event.data.update(data)
        return event

    async def publish(self, *events: event_pb2.Event) -> None:
        for event in events:
            await self.service.mesh.bus.publish(event.source, [event])

    async def announce(self, type_: str, **more: Any) -> event_pb2.Event:
        event = self.event(type_, **more)
        await self.publish(event)
        return event

    async def deliveries(self, **filters: Any) -> list[pb.Delivery]:
        return list(
            (await self.stub().ListDeliveries(pb.ListDeliveriesRequest(**filters))).deliveries
        )

    async def delivery(self, delivery_id: str) -> pb.Delivery:
        request = pb.GetDeliveryRequest(delivery_id=delivery_id)
        return (await self.stub().GetDelivery(request)).delivery

    async def only_delivery(self, state: int, within: float = 5, **filters: Any) -> pb.Delivery:
        """The one delivery there is, with its attempts, once it is in this state."""

        async def settled() -> pb.Delivery | None:
            listed = await self.deliveries(**filters)
            assert len(listed) == 1
            found = listed[0]
            assert found.state == state, pb.DeliveryState.Name(found.state)
            return await self.delivery(found.delivery_id)

        return await eventually(settled, within=within)

    async def told(self) -> list[event_pb2.Event]:
        """What the service itself has published about this organisation."""
        async with Redis.from_url(self.service.mesh.settings.redis_url) as redis:
            stream: Any = await redis.xrange("podium:events:webhook")
        events = [event_pb2.Event.FromString(fields[b"event"]) for _, fields in stream]
        return [event for event in events if event.organization_id == self.organization]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def open_world(home: Path, redis_url: str) -> Callable[..., Any]:
    """Opens a replica with other settings: `async with open_world(webhook_…=…) as world`."""

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[World]:
        # The hours of the schedule pass at once.
        settings = {"webhook_schedule_scale": 0, "lease_ttl_s": 1.0, **settings}
        async with running(WebhookService, home, redis_url, **settings) as service:
            yield World(service)

    return opened


@pytest.fixture
async def world(open_world: Callable[..., Any]) -> AsyncIterator[World]:
    async with open_world() as world:
        yield world
