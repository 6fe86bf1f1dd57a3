"""What a service is given when it opens: the parts of its process, ready to use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import grpc
from redis.asyncio import Redis

from libs.clock import Clock
from libs.db import Database
from libs.events.bus import Bus
from libs.recovery import Recoveries
from libs.rpc import client, policy
from libs.rpc.certificates import Certificates
from libs.secrets import Vault
from libs.settings import Settings
from libs.shedding import Shedding
from libs.signals import Signals
from libs.stopping import stop

Stub = TypeVar("Stub")
log = logging.getLogger(__name__)


@dataclass
class Mesh:
    """The process as a service sees it."""

    settings: Settings
    clock: Clock
    db: Database
    bus: Bus
    signals: Signals
    replica: str
    redis: Redis
    # Earlier lives of this replica that whoever started this one has seen end.
    ended: tuple[str, ...] = ()
    drains: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    shedding: Shedding = field(default_factory=Shedding)
    _channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    @cached_property
    def vault(self) -> Vault:
        """Seals secrets at rest; only services that keep some are given keys."""
        if not self.settings.vault_keys:
            raise SystemExit(f"{self.settings.service} keeps secrets: set PODIUM_VAULT_KEYS")
        return Vault.from_text(self.settings.vault_keys)

    @cached_property
    def recoveries(self) -> Recoveries:
        """Carries out recoveries of this process and keeps what came of them."""
        settings = self.settings
        return Recoveries(self.db, self.clock, settings.service, settings.replica, settings.home)

    @cached_property
    def certificates(self) -> Certificates | None:
        """What this process proves itself with over TCP; None where there is no TLS."""
        return Certificates.of(self.settings)

    def stub(self, stub_class: type[Stub]) -> Stub:
        """Another service's stub, through Envoy unless the settings name a peer's address."""
        service = policy.short_name(stub_class.__module__)
        address = self.settings.peers.get(service, self.settings.mesh_address)
        return client.stub(stub_class, self.channel(address), self.settings.service_token)

    def channel(self, address: str) -> grpc.aio.Channel:
        """The process's one channel to an address."""
        if address not in self._channels:
            self._channels[address] = client.channel(address, self.certificates)
        return self._channels[address]

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Runs something in the background until the process ends; a failure is logged."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def on_drain(self, drain: Callable[[], Awaitable[None]]) -> None:
        """Registers what is to be done before the process ends, such as handing leases back."""
        self.drains.append(drain)

    async def drain(self) -> None:
        """Does what was registered; one failure does not keep the others from being tried."""
        results = await asyncio.gather(*(drain() for drain in self.drains), return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                log.error("drain failed", exc_info=result)

    async def close(self) -> None:
        """Ends the background tasks and closes the channels."""
        await stop(self._tasks)
        for opened in self._channels.values():
            await opened.close()

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background task %s failed", task.get_name(), exc_info=error)
