"""What the edge answers by itself: index, health, docs, the OpenAPI document, its own state."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.upstreams import Guard

HERE = Path(__file__).parent
JSON, HTML = "application/json", "text/html; charset=utf-8"
SHOWN = ("docs", "live", "runs")
LINKS = {
    "docs": "/docs",
    "console": "/runs",
    "openapi": "/openapi.json",
    "health": "/healthz",
    "runs": "/v1/runs",
    "workflows": "/v1/workflows",
    "mesh": "/v1/mesh",
}


@dataclass(frozen=True)
class Page:
    """One page; an open one needs no key."""

    render: Callable[[], tuple[int, bytes]]
    headers: dict[str, str]
    is_open: bool = True


class Pages:
    """Every page of the edge by its path."""

    def __init__(self, guards: dict[str, Guard], openapi: dict[str, Any]) -> None:
        self.draining = False
        self._guards = guards
        document = orjson.dumps(openapi, option=orjson.OPT_INDENT_2)
        docs, live, runs = ((HERE / f"{name}.html").read_bytes() for name in SHOWN)
        fresh = {"content-type": JSON, "cache-control": "no-store"}
        self._pages = {
            "/": Page(lambda: (200, orjson.dumps({"name": "Podium", "links": LINKS})), fresh),
            "/healthz": Page(self._health, fresh),
            "/openapi.json": Page(lambda: (200, document), {"content-type": JSON}),
            "/docs": Page(lambda: (200, docs), _page_headers(docs)),
            "/live": Page(lambda: (200, live), _page_headers(live)),
            "/runs": Page(lambda: (200, runs), _page_headers(runs)),
            "/v1/mesh": Page(self._mesh, fresh, is_open=False),
        }

    def find(self, path: str) -> Page | None:
        """The page at a path."""
        return self._pages.get(path)

    @property
    def open_paths(self) -> list[str]:
        """The paths that need no key."""
        return [path for path, page in self._pages.items() if page.is_open]

    def _health(self) -> tuple[int, bytes]:
        """Unhealthy while draining, so that the proxy sends requests elsewhere."""
        if self.draining:
            return 503, b'{"status":"draining"}'
        return 200, b'{"status":"serving"}'

    def _mesh(self) -> tuple[int, bytes]:
        upstreams = {name: state_of(guard) for name, guard in sorted(self._guards.items())}
        return 200, orjson.dumps({"upstreams": upstreams})


def state_of(guard: Guard) -> dict[str, Any]:
    """A breaker and a bulkhead as they are now."""
    breaker, bulkhead = guard.breaker, guard.bulkhead
    return {
        "breaker": {
            "state": breaker.state,
            "failures_in_a_row": breaker.failures,
            "threshold": breaker.threshold,
            "reset_s": breaker.reset_s,
            "retry_after_s": round(breaker.retry_after_s, 3),
        },
        "bulkhead": {
            "running": bulkhead.running,
            "most_running": bulkhead.room.concurrent,
            "queued": bulkhead.queued,
            "most_queued": bulkhead.room.queued,
            "long_lived": bulkhead.long_lived,
            "most_long_lived": bulkhead.room.long_lived,
            "refused": bulkhead.refused,
        },
    }


def _page_headers(page: bytes) -> dict[str, str]:
    """The page may run its own script and ask this origin, and nothing else."""
    policy = [
        "default-src 'none'",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    for kind, directive in ((b"script", "script-src"), (b"style", "style-src")):
        inline = re.search(rb"<%s>(.*?)</%s>" % (kind, kind), page, re.DOTALL)
        assert inline is not None
        digest = base64.b64encode(hashlib.sha256(inline.group(1)).digest()).decode()
        policy.append(f"{directive} 'sha256-{digest}'")
    return {
        "content-type": HTML,
        "content-security-policy": "; ".join(policy),
        "referrer-policy": "no-referrer",
        "x-frame-options": "DENY",
    }
