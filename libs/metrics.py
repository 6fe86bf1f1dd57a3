"""Figures of one process for Prometheus: how often, how fast, how full, how late.

They are served at PODIUM_METRICS_LISTEN (nowhere when that is empty, as on a laptop) in the
OpenMetrics text format. A slow call carries its trace as an exemplar. Names and labels are an
interface: dashboards and alert rules in deploy/ read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

# From half a millisecond, which a call on one machine takes, to a call that waits a minute.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

RPC_SECONDS = Histogram(
    "podium_rpc_duration_seconds",
    "Calls this process answered, by RPC and outcome; a stream counts until its end.",
    ("rpc", "code"),
    buckets=_SECONDS,
)
UPSTREAM_SECONDS = Histogram(
    "podium_upstream_duration_seconds",
    "Calls that the gateway passed on, by RPC and outcome; their wait for room is not in it.",
    ("rpc", "code"),
    buckets=_SECONDS,
)
RPCS_RUNNING = Gauge("podium_rpcs_running", "Calls that are being answered.", ("rpc",))
COMMITS = Counter("podium_db_commits", "Transactions that were committed.")
UNITS = Counter("podium_db_units", "Units of work in those transactions.")
DATABASE_OUTAGES = Counter("podium_db_outages", "Units and queries that met no database.")
EVENTS_PUBLISHED = Counter("podium_events_published", "Events that the bus has taken.")
DATABASE_UNITS_WAITING = Gauge("podium_db_units_waiting", "Units of work that wait for the writer.")
DATABASE_CONNECTIONS = Gauge("podium_db_connections_used", "Connections of the pool in use.")
DATABASE_CONNECTIONS_ROOM = Gauge("podium_db_connections_room", "Connections the pool may have.")
OUTBOX_LAG = Gauge(
    "podium_outbox_lag_seconds", "Age of the oldest event in hand that the bus has not taken."
)
EVENT_AGE = Histogram(
    "podium_event_age_seconds",
    "Age of events when they had been handled, by the stream they came from.",
    ("stream",),
    buckets=_SECONDS,
)
OUTBOX_WAITING = Gauge("podium_outbox_waiting", "Events in hand that the bus has not taken.")
DEAD_LETTERS = Counter("podium_dead_letters", "Events that could not be handled.", ("type",))
WORK_RUNNING = Gauge("podium_work_running", "Rows that this replica holds a lease of.", ("worker",))
WORK_ROOM = Gauge("podium_work_room", "Rows that this replica can hold at once.", ("worker",))
WORK_QUEUE_AGE = Gauge(
    "podium_work_queue_age_seconds",
    "For how long there has been work due that this replica had no room for.",
    ("worker",),
)
LEASES_TAKEN_OVER = Counter(
    "podium_leases_taken_over", "Rows whose holder let the lease run out.", ("worker",)
)
LEASES_LOST = Counter("podium_leases_lost", "Leases that were lost while working.", ("worker",))
SHED = Counter("podium_calls_shed", "Calls that were refused for lack of memory or room.")
BREAKER_OPEN = Gauge("podium_breaker_open", "1 while an upstream is left alone.", ("upstream",))
BULKHEAD_RUNNING = Gauge("podium_bulkhead_running", "Calls inside a bulkhead.", ("upstream",))
BULKHEAD_QUEUED = Gauge("podium_bulkhead_queued", "Calls that wait for room.", ("upstream",))
KEY_LOOKUPS = Counter("podium_key_lookups", "API keys looked up, by where.", ("found_in",))
REGISTRY_FAILURES = Counter(
    "podium_registry_failures", "Heartbeats that the registry did not take."
)
_CACHES: dict[str, Callable[[], Any]] = {}


class _CacheCollector(Collector):
    """Hits and misses of every watched cache, as the caches themselves count them."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One family for all."""
        family = CounterMetricFamily(
            "podium_cache_lookups", "Lookups in caches, by outcome.", labels=("cache", "outcome")
        )
        for name, info in _CACHES.items():
            counted = info()
            family.add_metric((name, "hit"), counted.hits)
            family.add_metric((name, "miss"), counted.misses)
        yield family


REGISTRY.register(_CacheCollector())


def watch_cache(name: str, cached: Any) -> None:
    """Shows how often an `lru_cache` had what it was asked for."""
    _CACHES[name] = cached.cache_info


def watch_pool(used: Callable[[], int], room: int, waiting: Callable[[], int]) -> None:
    """Shows how full a database's pool is, and what waits for its writer."""
    DATABASE_CONNECTIONS.set_function(used)
    DATABASE_CONNECTIONS_ROOM.set(room)
    DATABASE_UNITS_WAITING.set_function(waiting)


@contextmanager
def served(address: str) -> Iterator[None]:
    """Serves the figures at "host:port" inside the block; nowhere when the address is empty."""
    if not address:
        yield
        return
    host, _, port = address.rpartition(":")
    server, thread = start_http_server(int(port), host)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answered(rpc: str, code: str, took_s: float) -> None:
    """Counts a call that this process answered."""
    RPC_SECONDS.labels(rpc, code).observe(took_s, _example())


def asked(rpc: str, code: str, took_s: float) -> None:
    """Counts a call that the gateway passed on."""
    UPSTREAM_SECONDS.labels(rpc, code).observe(took_s, _example())


def count_work(
    worker: str, running: Callable[[], int], room: int, queue_age_s: Callable[[], float]
) -> None:
    """Shows how many rows a worker carries out and could, and how long others have waited."""
    WORK_RUNNING.labels(worker).set_function(running)
    WORK_ROOM.labels(worker).set(room)
    WORK_QUEUE_AGE.labels(worker).set_function(queue_age_s)


def load() -> tuple[int, int, int]:
    """Calls being answered, rows in hand and room for rows: how busy this process is."""
    return (_sum(RPCS_RUNNING), _sum(WORK_RUNNING), _sum(WORK_ROOM))


def _sum(gauge: Gauge) -> int:
    return round(sum(sample.value for family in gauge.collect() for sample in family.samples))


def _example() -> dict[str, str] | None:
    """The present trace, so that a point on a graph leads to what happened there."""
    identity = trace.get_current_span().get_span_context()
    return {"trace_id": f"{identity.trace_id:032x}"} if identity.is_valid else None
