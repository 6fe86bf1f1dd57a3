"""The demo's servers: the portal and the webhook receiver, until the mesh's supervisor ends."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
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
    mine = folder(home)
    login = json.loads(mine.customer.read_text())
    authenticator = Authenticator.read(login["seed"])
    portal = Portal(Customer(login["username"], login["password"], authenticator))

    def note(message: Received) -> None:
        name = "".join(c for c in message.webhook_id if c.isalnum() or c in "_-") or "unnamed"
        mine.keep(mine.messages / f"{name}.json", json.dumps(asdict(message), indent=2))

    receiver = Receiver(lambda: mine.secret.read_text().strip(), note)
    async with AsyncExitStack() as stack:
        portal_url = await _portal(stack, portal)
        hooks = await stack.enter_async_context(serving(receiver.app()))
        servers = Servers(
            os.getpid(), processes.start_time(os.getpid()), portal_url, f"{hooks}/hooks"
        )
        mine.keep(mine.state, json.dumps(asdict(servers)))
        print(json.dumps(asdict(servers)), flush=True)
        await asyncio.to_thread(_until_end, supervisor_pid)


async def _portal(stack: AsyncExitStack, portal: Portal) -> str:
    """A port that stays the same makes for readable documentation; any other will do."""
    try:
        return await stack.enter_async_context(serving(portal.app(), PORTAL_PORT))
    except OSError:
        return await stack.enter_async_context(serving(portal.app()))


def _until_end(pid: int) -> None:
    while not processes.wait_for_end(pid, 3600.0):
        pass


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
