"""A browser_session service with real browsers, and a small site for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from libs import ids
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import browser_session_pb2_grpc as pb_grpc
from services.browser_session.service import BrowserSessionService
from tests.support.mesh import Running, running
from tests.support.serving import served

REPORT = b"id,total\n1,42\n" * 20_000
PAGE = """<title>Form</title>
<body style="height:3000px"><input id="name"><a id="get" href="/report">get</a>
<script>document.title = navigator.language</script></body>"""


@dataclass
class Site:
    """Where the little site is."""

    url: str


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def report(request: web.Request) -> web.Response:
        disposition = 'attachment; filename="../or;ders 2026.csv"'
        return web.Response(body=REPORT, headers={"content-disposition": disposition})

    async def nothing(request: web.Request) -> web.Response:
        return web.Response(headers={"content-disposition": "attachment; filename=empty.txt"})

    app = web.Application()
    app.router.add_get("/nothing", nothing)
    app.router.add_get("/", page)
    app.router.add_get("/report", report)
    async with served(app) as url:
        yield Site(url)


class Sessions:
    """The service as its callers have it."""

    def __init__(self, service: Running) -> None:
        self.service = service
        self.mesh = service.mesh

    def as_(self, caller: str, organization: str = "org_a"):
        return self.service.stub(pb_grpc.BrowserSessionServiceStub, caller, organization)

    async def acquire(self, run_id: str = "", **fields: Any) -> pb.Session:
        request = pb.AcquireSessionRequest(run_id=run_id or ids.new("run"), **fields)
        return (await self.as_("run").AcquireSession(request, timeout=30)).session

    async def attach(self, session: pb.Session) -> pb.AttachSessionResponse:
        return await self.as_("task").AttachSession(
            pb.AttachSessionRequest(
                browser_session_id=session.browser_session_id, run_id=session.run_id
            )
        )

    async def get(self, session_id: str) -> pb.Session:
        answer = await self.as_("run").GetSession(
            pb.GetSessionRequest(browser_session_id=session_id)
        )
        return answer.session


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
async def sessions(home: Path, redis_url: str) -> AsyncIterator[Sessions]:
    async with running(BrowserSessionService, home, redis_url, browser_sweep_s=0.2) as service:
        yield Sessions(service)
