"""What the edge answers by itself: index, health, docs, the OpenAPI document."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

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
    """One page; it needs no key."""

    render: Callable[[], tuple[int, bytes]]
    headers: dict[str, str]


class Pages:
    """Every page of the edge by its path."""

    def __init__(self, openapi: dict[str, Any]) -> None:
        self.draining = False
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
        }

    def find(self, path: str) -> Page | None:
        """The page at a path."""
        return self._pages.get(path)

    @property
    def open_paths(self) -> list[str]:
        """The paths that need no key."""
        return list(self._pages)

    def _health(self) -> tuple[int, bytes]:
        """Unhealthy while draining, so that the proxy sends requests elsewhere."""
        if self.draining:
            return 503, b'{"status":"draining"}'
        return 200, b'{"status":"serving"}'


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
