"""The door for calls: request, domain, response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.clock import Clock
from libs.db import Database
from libs.egress import EgressRules
from libs.rpc.mesh import Mesh
from libs.secrets import Vault
from libs.signals import Signals
from services.totp import skew, timers
from services.totp.claims import Claims
from services.totp.events import Reactions
from services.totp.intake import Intake
from services.totp.service.challenges import ChallengeCalls
from services.totp.service.credentials import CredentialCalls
from services.totp.service.messages import MessageCalls
from services.totp.service.sources import SourceCalls
from services.totp.settings import TotpSettings
from services.totp.sources.watching import Watcher
from services.totp.store import METADATA, SEALED


class TotpService(CredentialCalls, MessageCalls, ChallengeCalls, SourceCalls):
    """Credentials, messages, challenges and the sources of codes."""

    settings = TotpSettings
    tables = METADATA
    sealed = SEALED

    def __init__(
        self,
        database: Database,
        vault: Vault,
        signals: Signals,
        clock: Clock,
        rules: EgressRules,
    ) -> None:
        self._db = database
        self._vault = vault
        self._rules = rules
        self._intake = Intake(database, vault)
        self._claims = Claims(database, vault, signals, clock)
        self.subscriptions = Reactions(database).subscriptions()

    @classmethod
    @asynccontextmanager
    async def open(cls, mesh: Mesh) -> AsyncIterator[TotpService]:
        """The service with its sweep, its sources and its look at the clock running."""
        settings = mesh.settings
        assert isinstance(settings, TotpSettings)
        service = cls(mesh.db, mesh.vault, mesh.signals, mesh.clock, settings)
        mesh.spawn(timers.sweep(mesh.db, mesh.clock), "totp-sweep")
        async with Watcher.open(mesh, settings, service._intake) as watcher:
            mesh.spawn(watcher.run(), "totp-sources")
            mesh.on_drain(watcher.drain)
            if settings.totp_time_server:
                mesh.spawn(skew.watch(settings.totp_time_server, mesh.clock), "totp-clock")
            yield service
