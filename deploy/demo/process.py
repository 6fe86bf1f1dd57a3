"""The demo's servers: the portal and the webhook receiver, until the mesh's supervisor ends."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from deploy import processes
from deploy.demo.codes import Authenticator
from deploy.demo.receiver import Received, Receiver
from deploy.demo.serving import Servers, folder
from deploy.demo.site import Customer, Portal, serving

PORTAL_PORT = 8090


async def serve(home: Path, supervisor_pid: int) -> None:
    """Serve until the supervisor ends."""
    async with opened(home) as servers:
        print(json.dumps(asdict(servers)), flush=True)
        await asyncio.to_thread(_until_end, supervisor_pid)


@asynccontextmanager
async def opened(
    home: Path, host: str = "127.0.0.1", name: str = "", hooks_port: int = 0
) -> AsyncIterator[Servers]:
    """Serve inside the block, and leave word in the home of where."""
    mine = folder(home)
    login = json.loads(mine.customer.read_text())
    authenticator = Authenticator.read(login["seed"])
    portal = Portal(Customer(login["username"], login["password"], authenticator))

    def note(message: Received) -> None:
        called = "".join(c for c in message.webhook_id if c.isalnum() or c in "_-") or "unnamed"
        mine.keep(mine.messages / f"{called}.json", json.dumps(asdict(message), indent=2))

    receiver = Receiver(lambda: mine.secret.read_text().strip(), note)
    async with AsyncExitStack() as stack:
        portal_url = await _portal(stack, portal, host, name)
        hooks = await stack.enter_async_context(serving(receiver.app(), hooks_port, host, name))
        pid = os.getpid()
        servers = Servers(pid, processes.start_time(pid), portal_url, f"{hooks}/hooks")
        mine.keep(mine.state, json.dumps(asdict(servers)))
        yield servers


async def _portal(stack: AsyncExitStack, portal: Portal, host: str, name: str) -> str:
    """A port that stays the same makes for readable documentation; any other will do."""
    try:
        return await stack.enter_async_context(serving(portal.app(), PORTAL_PORT, host, name))
    except OSError:
        return await stack.enter_async_context(serving(portal.app(), 0, host, name))


def _until_end(pid: int) -> None:
    while not processes.wait_for_end(pid, 3600.0):
        pass


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
