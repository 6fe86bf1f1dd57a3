"""Takes messages in, whichever way they came: read, kept sealed, given to whoever waits."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from libs import errors, ids
from libs.db import Database, Tx
from libs.secrets import Secret, Vault
from services.totp import domain, links, mail, matching, message, redaction
from services.totp.domain import Message, Source, State
from services.totp.message import Reading, Verdict
from services.totp.store import challenges, messages
from services.totp.store.messages import Contents

# Reading a page this large takes so long that the others should go on meanwhile.
LARGE_CHARS = 8 * 1024


@dataclass(frozen=True)
class Arrival:
    """A message as it came in, and whom it is for."""

    organization_id: str
    identifier: str
    source: Source
    content: Secret
    run_id: str = ""
    challenge_id: str = ""
    # When it came, when that was not now.
    received_at: datetime | None = None
    # What tells it from every other message; taken from the e-mail when not given.
    external_id: str = ""

    @property
    def is_typed(self) -> bool:
        """Whether a person typed it for one login."""
        return self.source is Source.MANUAL and bool(self.challenge_id)


@dataclass(frozen=True)
class Found:
    """What was read in a message."""

    reading: Reading
    link: links.Link | None
    redacted: str
    external_id: str

    @property
    def serves(self) -> bool:
        """Whether there is something in it that a challenge may take."""
        return self.reading.verdict is Verdict.FOUND or self.link is not None

    @property
    def contents(self) -> Contents:
        """The secrets that are kept of it."""
        link = self.link.url if self.link else ""
        return Contents(Secret(self.reading.code), Secret(link), Secret(self.redacted))


def look(content: str) -> Found:
    """Everything that is read in a message; the work of a moment, or of a second for a huge one."""
    reading = message.read(content)
    sure = reading.verdict is Verdict.FOUND
    return Found(
        reading=reading,
        link=links.sign_in_link(content),
        redacted="" if sure else redaction.redacted(content),
        external_id=_external_id(content),
    )


def _external_id(content: str) -> str:
    headers = mail.headers(content)
    name = str(headers.get("Message-ID", "")).strip() if headers is not None else ""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest() if name else ""


async def read(content: Secret) -> Found:
    """What a message holds; large ones are read beside the event loop."""
    if len(content.reveal()) < LARGE_CHARS:
        return look(content.reveal())
    return await asyncio.to_thread(look, content.reveal())


class Intake:
    """Keeps messages and gives each to the challenge that has waited longest."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._db = database
        self._vault = vault

    async def take(self, arrival: Arrival) -> Message:
        """Reads and keeps a message. The same e-mail twice is one message."""
        found = await read(arrival.content)
        typed = domain.typed_code(arrival.content.reveal()) if arrival.is_typed else ""
        if typed and not found.serves:
            found = replace(found, reading=Reading(Verdict.FOUND, typed, 1), redacted="")
        return await self.keep(arrival, found)

    async def keep(self, arrival: Arrival, found: Found) -> Message:
        """Keeps a message that was read."""
        return await self._db.write(lambda tx: self._unit(tx, arrival, found))

    def _unit(self, tx: Tx, arrival: Arrival, found: Found) -> Message:
        sure = found.reading.verdict is Verdict.FOUND
        received_at = arrival.received_at or tx.now
        received = Message(
            message_id=ids.new("msg"),
            organization_id=arrival.organization_id,
            identifier=arrival.identifier,
            run_id=arrival.run_id,
            challenge_id=arrival.challenge_id,
            source=arrival.source,
            sure=sure,
            candidates=found.reading.candidates,
            received_at=received_at,
            expires_at=received_at + domain.MESSAGE_LIFE,
            link_host=found.link.host if found.link else "",
            external_id=arrival.external_id or found.external_id,
        )
        _check_waiting(tx, received)
        if not messages.insert(tx, self._vault, received, found.contents):
            return _known(tx, received)
        if received.serves:
            matching.offer(tx, received)
        return received


def _known(tx: Tx, received: Message) -> Message:
    known = messages.find_external(tx, received.organization_id, received.external_id)
    if known is None:
        raise errors.Unavailable("the message is being destroyed; send it again", retry_after_s=1)
    return known


def _check_waiting(tx: Tx, received: Message) -> None:
    """A code handed in for one challenge is refused when that challenge takes none."""
    if not received.challenge_id:
        return
    challenge = challenges.find(tx, received.organization_id, received.challenge_id)
    if challenge is None:
        raise errors.NotFound("challenge", received.challenge_id)
    if challenge.seen_at(tx.now).state is not State.WAITING:
        raise errors.FailedPrecondition(
            "the challenge does not wait for a code", reason="CHALLENGE_NOT_WAITING"
        )
