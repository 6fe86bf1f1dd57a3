"""`python -m deploy.compose.site`: the demo's portal and webhook receiver in a container."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from deploy.demo import preparation
from deploy.demo.process import opened
from deploy.demo.serving import folder
from libs.settings import environment

HOOKS_PORT = 8091


async def serve(home: Path, name: str) -> None:
    """Serve to the whole network, as `name`, until told to stop."""
    preparation.customer(folder(home))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with opened(home, "0.0.0.0", name, HOOKS_PORT) as servers:
        print(f"the portal is at {servers.portal_url}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(environment("PODIUM_HOME", "var")), environment("PODIUM_NAME", "site")))
