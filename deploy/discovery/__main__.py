"""`python -m deploy.discovery`: the agent's process; PODIUM_ENDPOINTS names the files' folder.

`python -m deploy.discovery prepare` makes the files that are missing, for Envoy to start, and ends.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from deploy import layout
from deploy.compose import addresses
from deploy.discovery import files
from deploy.discovery.agent import Agent
from libs import telemetry
from libs.clock import Clock
from libs.events.redis import connect
from libs.registry import Registry
from libs.settings import environment, load
from libs.stopping import stop

NAME = "discovery"


async def follow() -> None:
    """Follow the registry until told to stop."""
    settings = load(service=NAME)
    telemetry.start(NAME, settings.replica, None, settings.log_level)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    redis = connect(settings.redis_url)
    agent = Agent(Registry(redis), Path(environment("PODIUM_ENDPOINTS")), Clock())
    waiting = asyncio.create_task(ended.wait())
    following = asyncio.create_task(agent.run(), name=NAME)
    await asyncio.wait({waiting, following}, return_when=asyncio.FIRST_COMPLETED)
    failed = following.done()
    await stop([waiting, following])
    await redis.aclose()
    if failed:
        following.result()


def prepare(folder: Path) -> None:
    """Make a file for each cluster, with nobody in it, where there is none."""
    clusters = addresses.plan(layout.services()).clusters()
    files.prepare(folder, dict.fromkeys(clusters, ()), anew=False)


if __name__ == "__main__":
    if sys.argv[1:] == ["prepare"]:
        prepare(Path(environment("PODIUM_ENDPOINTS")))
    else:
        asyncio.run(follow())
