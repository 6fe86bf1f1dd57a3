"""A small real HTTP server that speaks chat completions and answers from a script."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.serving import served

# What a model may say: JSON to answer with, a status to fail with, or a function of the request.
Line = dict[str, Any] | str | int | Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class Model:
    """The script, and what was asked."""

    script: list[Line] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    knows_schemas: bool = True
    url: str = ""

    @property
    def prompts(self) -> str:
        """Everything it was ever told."""
        return json.dumps(self.asked)


@asynccontextmanager
async def model() -> AsyncIterator[Model]:
    """The server, inside the block."""
    scripted = Model()

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        scripted.asked.append(body)
        scripted.keys.append(request.headers.get("authorization", ""))
        if "response_format" in body and not scripted.knows_schemas:
            return web.Response(status=400, text="response_format is not supported")
        line = scripted.script.pop(0)
        if isinstance(line, int):
            return web.Response(status=line, text="no")
        if callable(line):
            line = line(body)
        content = line if isinstance(line, str) else json.dumps(line)
        return web.json_response({"choices": [{"message": {"content": content}}]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    async with served(app) as url:
        scripted.url = f"{url}/v1"
        yield scripted
