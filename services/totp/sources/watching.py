"""Watches every source of codes: each by one replica at a time, which holds its lease."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import aiohttp

from libs import context, egress, errors, lease
from libs.lease import Work
from libs.rpc.mesh import Mesh
from libs.secrets import Secret
from libs.worker import Worker
from services.totp import intake, matching
from services.totp.domain import Challenge, CodeSource, PullTarget, Source, SourceState
from services.totp.intake import Arrival, Intake
from services.totp.message import Verdict
from services.totp.settings import TotpSettings
from services.totp.sources import pull
from services.totp.sources.imap import ImapFailure, LoginRefused
from services.totp.sources.mailbox import MailboxWatch, recipient
from services.totp.store import challenges, sources
from services.totp.store.tables import sources as table

# A server that refuses a password is not asked again and again: it might lock the account.
REFUSED_PAUSE_S = 300.0
RECHECK_S = 5.0
MOST_ASKED_FOR = 8
log = logging.getLogger(__name__)


class Watcher:
    """The sources that this replica watches."""

    def __init__(
        self, mesh: Mesh, settings: TotpSettings, taking: Intake, client: aiohttp.ClientSession
    ) -> None:
        self._db = mesh.db
        self._vault = mesh.vault
        self._signals = mesh.signals
        self._clock = mesh.clock
        self._settings = settings
        self._intake = taking
        self._client = client
        self._worker = Worker(
            "totp-sources",
            database=mesh.db,
            signals=mesh.signals,
            clock=mesh.clock,
            owner=mesh.replica,
            topic=sources.TOPIC,
            table=table,
            key_column=sources.KEY,
            due=lease.EVERY,
            perform=self._perform,
            concurrency=settings.totp_sources,
            ttl_s=settings.lease_ttl_s,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, mesh: Mesh, settings: TotpSettings, taking: Intake
    ) -> AsyncIterator[Watcher]:
        """A watcher with a client for the URLs."""
        async with egress.session(settings) as client:
            yield cls(mesh, settings, taking, client)

    async def run(self) -> None:
        """Watches until cancelled."""
        await self._worker.run()

    async def drain(self) -> None:
        """Hands the sources to the other replicas."""
        await self._worker.drain()

    async def _perform(self, work: Work) -> None:
        """Watches one source until its connection breaks, it is deleted, or the replica drains."""
        source = sources.read(work.row._mapping)
        secret = sources.open_secret(self._vault, source, work.row.secret_sealed)
        with context.bind(organization_id=source.organization_id):
            try:
                if isinstance(source.target, PullTarget):
                    await self._pull(work, source, source.target.url, secret)
                else:
                    await self._mailbox(work, source, secret)
            except (ImapFailure, pull.PullFailure) as failure:
                why = str(failure)
                await self._db.write(lambda tx: sources.note(tx, work, SourceState.FAILING, why))
                if isinstance(failure, LoginRefused):
                    await self._clock.sleep(REFUSED_PAUSE_S)
                # The worker's back-off decides when it is tried again.
                raise errors.Unavailable(why) from None

    async def _mailbox(self, work: Work, source: CodeSource, password: Secret) -> None:
        watch = MailboxWatch(source, password, self._clock, self._settings.totp_mail_poll_s)

        async def ready() -> None:
            await self._watching(work, source)
            await self._advance(work, watch)

        async for found, arrived_at in watch.mails(self._settings, ready):
            await self._receive(work, source, Secret(found.content), arrived_at)
            await self._advance(work, watch)

    async def _advance(self, work: Work, watch: MailboxWatch) -> None:
        place = watch.place.as_stored()
        await self._db.write(lambda tx: sources.advance(tx, work, place))

    async def _watching(self, work: Work, source: CodeSource) -> None:
        if source.state is not SourceState.WATCHING:
            await self._db.write(lambda tx: sources.note(tx, work, SourceState.WATCHING))

    async def _receive(
        self, work: Work, source: CodeSource, content: Secret, arrived_at: datetime
    ) -> None:
        """Keeps what serves a challenge. The rest of a person's mail is none of our business."""
        found = await intake.read(content)
        identifier = recipient(content.reveal(), source.identifier)
        if not found.serves and not (
            found.reading.verdict is Verdict.UNSURE and await self._waiting(source, {identifier})
        ):
            return
        arrival = Arrival(
            organization_id=source.organization_id,
            identifier=identifier,
            source=Source.EMAIL,
            content=content,
            received_at=arrived_at,
        )
        await self._intake.keep(arrival, found)
        await self._db.write(lambda tx: sources.received(tx, work))

    async def _pull(self, work: Work, source: CodeSource, url: str, secret: Secret) -> None:
        key = base64.b64decode(secret.reveal().removeprefix(pull.SECRET_PREFIX))
        answered = False
        topic = matching.opened_topic(source.organization_id)
        async with self._signals.subscribe(topic) as hints:
            while True:
                waiting = await self._waiting(source, {source.identifier})
                for challenge in waiting[:MOST_ASKED_FOR]:
                    found = await pull.ask(self._client, url, key, challenge, self._clock.now())
                    if not answered:
                        answered = True
                        await self._watching(work, source)
                    if found is not None:
                        await self._give(work, source, challenge, found)
                await hints.wait(self._settings.totp_pull_s if waiting else RECHECK_S)

    async def _give(
        self, work: Work, source: CodeSource, challenge: Challenge, answer: pull.PulledCode
    ) -> None:
        """Keeps what the URL answered, once: an answer that is repeated is an old one."""
        content = Secret(answer.content)
        name = f"{source.source_id}\n{answer.name}".encode("utf-8", "replace")
        arrival = Arrival(
            organization_id=source.organization_id,
            identifier=source.identifier,
            source=Source.PULL,
            content=content,
            challenge_id=challenge.challenge_id,
            external_id=hashlib.sha256(name).hexdigest(),
        )
        try:
            await self._intake.take(arrival)
        except (errors.NotFound, errors.FailedPrecondition):
            log.info("a code was pulled for a challenge that waits no more")
            return
        await self._db.write(lambda tx: sources.received(tx, work))

    async def _waiting(self, source: CodeSource, identifiers: set[str]) -> list[Challenge]:
        return await self._db.read(
            lambda tx: challenges.any_waiting_at(tx, source.organization_id, identifiers)
        )
