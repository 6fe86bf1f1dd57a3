"""Webhooks: deliveries a second of one replica, and what a dead neighbour costs another tenant.

The service is a process of its own on a real store and a real bus, and so is the sink. Deliveries
are counted from the first to arrive to the last; what is measured begins with the events on the
bus, so that fanning out is part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from libs import ids
from libs.clock import Clock
from libs.db import open_database
from libs.events.redis import RedisBus, connect
from libs.rpc import client
from podium.common.v1 import event_pb2
from podium.webhook.v1 import webhook_pb2 as pb
from podium.webhook.v1 import webhook_pb2_grpc as pb_grpc
from services.webhook import store, wire
from tests.bench.measuring import percentile
from tests.bench.replica import process
from tests.chaos import postgres
from tests.support.counting_sink import report, sink
from tests.support.mesh import Running, settings_for
from tests.support.valkey import valkey

TENANTS = 4
ENDPOINTS = 8
BACKLOG = 100_000
WITNESSES = 100
PATIENCE_S = 300.0


def main(kind: str, deliveries: int) -> None:
    """Measure one store and print what came of it."""
    facts: dict[str, Any] = {"store": kind, "deliveries": deliveries}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres.running()) if kind == "postgres" else None
        redis_url = stack.enter_context(valkey())
        for name, delay_ms in (("fast", 0), ("50 ms", 50)):
            home = stack.enter_context(tempfile.TemporaryDirectory(prefix="podium-bench-"))
            place = Place(Path(home), redis_url, server.url if server else "")
            target = stack.enter_context(sink(delay_ms))
            facts[name] = asyncio.run(place.throughput(target, deliveries))
            place.clear()
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="podium-bench-"))
        place = Place(Path(home), redis_url, server.url if server else "")
        facts["neighbour"] = asyncio.run(place.neighbour(stack.enter_context(sink())))
    facts["load"] = os.getloadavg()[0]
    _print(facts)


def _print(facts: dict[str, Any]) -> None:
    print(f"webhook on {facts['store']}: {facts['deliveries']} deliveries by one replica,")
    print(f"{TENANTS} tenants with {ENDPOINTS} endpoints each; load {facts['load']:.1f}")
    for name in ("fast", "50 ms"):
        each = facts[name]
        print(
            f"  {name:>5} sink: {each['per_s']:8.0f} deliveries/s,"
            f" {each['cpu_ms']:.2f} CPU-ms each, {each['again']} repeats"
        )
    each = facts["neighbour"]
    print(f"  beside a dead endpoint with {BACKLOG} waiting, event to arrival of another tenant:")
    print(
        f"  p50 {each['p50_ms']:.0f} ms, p99 {each['p99_ms']:.0f} ms, max {each['max_ms']:.0f} ms"
    )
    print(json.dumps(facts))


@dataclass
class Place:
    """A home, a bus and a store for one measurement."""

    home: Path
    redis_url: str
    database_url: str

    def clear(self) -> None:
        """Empties what the next measurement shares."""
        asyncio.run(self._clear())

    async def _clear(self) -> None:
        redis = connect(self.redis_url)
        await redis.flushall()
        await redis.aclose()
        if self.database_url:
            async with self._database() as database:
                for table in reversed(store.METADATA.sorted_tables):
                    await database.write(lambda tx, table=table: tx.execute(table.delete()))

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[Any]:
        url = self.database_url or f"sqlite:///{self.home}/data/webhook.db"
        database = await open_database(url, store.METADATA, Clock(), schema="webhook")
        try:
            yield database
        finally:
            await database.close()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[tuple[Running, int]]:
        """The service as a process; how to call it, and its pid."""
        told = settings_for("webhook", self.home, self.redis_url, log_level="WARNING")
        told["database_url"] = self.database_url
        with process("webhook", told) as pid:
            channel = client.channel(told["listen"])
            try:
                async with asyncio.timeout(30):
                    await channel.channel_ready()
                yield Running(None, told["listen"], channel), pid  # type: ignore[arg-type]
            finally:
                await channel.close()

    async def throughput(self, url: str, deliveries: int) -> dict[str, float]:
        """Every event goes to all endpoints of its tenant."""
        async with self.service() as (service, pid), self._bus() as bus:
            organizations = [f"org_{ids.token(6)}" for _ in range(TENANTS)]
            for organization in organizations:
                for number in range(ENDPOINTS):
                    await _endpoint(service, organization, f"{url}/{organization}/{number}")
            events = [
                _event(organizations[number % TENANTS]) for number in range(deliveries // ENDPOINTS)
            ]
            before = _cpu_s(pid)
            for at in range(0, len(events), 500):
                await bus.publish("run", events[at : at + 500])
            wanted = len(events) * ENDPOINTS
            found = await _until(lambda: report(url), lambda each: _count(each) >= wanted)
            cpu_ms = (_cpu_s(pid) - before) * 1000 / wanted
        first = min(each["first"] for each in found.values())
        last = max(each["last"] for each in found.values())
        again = sum(each["count"] for path, each in found.items() if path.endswith(" again"))
        return {"per_s": wanted / (last - first), "cpu_ms": cpu_ms, "again": again}

    async def neighbour(self, url: str) -> dict[str, float]:
        """One tenant's endpoint hangs before a backlog; another's events come ten a second."""
        noisy, quiet = f"org_{ids.token(6)}", f"org_{ids.token(6)}"
        async with self.service() as (service, _pid):
            await _endpoint(service, noisy, f"{url}/hang")
            await _endpoint(service, quiet, f"{url}/quiet")
        async with self._database() as database:
            for _ in range(BACKLOG // 1000):
                batch = [wire.announcement(_event(noisy)) for _ in range(1000)]
                await database.write(lambda tx, batch=batch: store.announce(tx, batch))
        took_ms = []
        async with self.service(), self._bus() as bus:
            for number in range(WITNESSES):
                began = time.time()
                await bus.publish("run", [_event(quiet)])
                enough = number + 1
                found = await _until(
                    lambda: report(url), lambda each, n=enough: _count(each, "/quiet") >= n
                )
                took_ms.append((found["/quiet"]["last"] - began) * 1000)
                await asyncio.sleep(0.1)
        return {
            "p50_ms": statistics.median(took_ms),
            "p99_ms": percentile(took_ms, 0.99),
            "max_ms": max(took_ms),
        }

    @asynccontextmanager
    async def _bus(self) -> AsyncIterator[RedisBus]:
        redis = connect(self.redis_url)
        try:
            yield RedisBus(redis, Clock())
        finally:
            await redis.aclose()


async def _endpoint(service: Running, organization: str, url: str) -> None:
    stub = service.stub(pb_grpc.WebhookServiceStub, organization=organization)
    await stub.CreateEndpoint(pb.CreateEndpointRequest(url=url))


def _event(organization: str) -> event_pb2.Event:
    event = event_pb2.Event(
        event_id=ids.new("evt"),
        type="run.finished",
        source="run",
        organization_id=organization,
        run_id=ids.new("run"),
        request_id=ids.new("req"),
    )
    event.occurred_at.GetCurrentTime()
    event.data.update({"state": "completed", "title": "a run", "output": {"text": "x" * 500}})
    return event


def _count(found: dict[str, Any], path: str = "") -> int:
    return sum(
        each["count"]
        for name, each in found.items()
        if not name.endswith(" again") and path in ("", name)
    )


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _until(
    ask: Callable[[], Awaitable[dict[str, Any]]], enough: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_S
    while not enough(found := await ask()):
        if time.monotonic() > end:
            raise TimeoutError(f"only {found} arrived")
        await asyncio.sleep(0.05)
    return found
