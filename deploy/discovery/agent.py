"""Follows the registry and writes what has changed; it knows nothing that it could lose."""

from __future__ import annotations

import logging
from pathlib import Path

from deploy.discovery import files
from deploy.discovery.endpoints import Endpoints
from libs import errors
from libs.clock import Clock
from libs.registry import Registry

log = logging.getLogger(__name__)
# A death is announced by nobody: it is seen when the entry has run out.
SWEEP_S = 0.3
AGAIN_S = 0.5


class Agent:
    """Keeps the endpoint files of one Envoy as the registry says."""

    def __init__(self, registry: Registry, folder: Path, clock: Clock) -> None:
        self._registry = registry
        self._folder = folder
        self._clock = clock
        self._endpoints = Endpoints(files.read(folder))

    async def run(self) -> None:
        """Follows until cancelled."""
        while True:
            try:
                async with self._registry.changes() as changes:
                    log.info("following the registry")
                    while True:
                        await self._look()
                        await changes.wait(SWEEP_S)
            except errors.Unavailable as error:
                log.warning("the endpoints stay as they are: %s", error)
                self._endpoints.doubt()
                await self._clock.sleep(AGAIN_S)

    async def _look(self) -> None:
        listing = await self._registry.list()
        for cluster in self._endpoints.take(listing, self._clock.monotonic()):
            targets = self._endpoints.clusters[cluster]
            files.write(self._folder, cluster, targets)
            log.info("%s: %s", cluster, ", ".join(targets) or "nobody")
