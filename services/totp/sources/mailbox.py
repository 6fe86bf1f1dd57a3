"""Watches an IMAP mailbox: new mail is read as it arrives, and only codes are kept of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from email.utils import getaddresses

from libs.clock import Clock
from libs.egress import EgressRules
from libs.secrets import Secret
from services.totp import domain, mail
from services.totp.domain import CodeSource, MailTarget
from services.totp.sources.imap import Imap, Mail, connect

# Servers end an IDLE after 30 minutes, and firewalls forget quiet connections much sooner.
IDLE_S = 60.0
_RECIPIENTS = ("Delivered-To", "X-Original-To", "To", "Cc")


class Place:
    """How far a mailbox has been read."""

    def __init__(self, stored: dict[str, int] | None) -> None:
        self.validity = (stored or {}).get("validity", 0)
        self.uid = (stored or {}).get("uid", 0)

    def as_stored(self) -> dict[str, int]:
        """As it is kept."""
        return {"validity": self.validity, "uid": self.uid}


class MailboxWatch:
    """One mailbox, watched over one connection."""

    def __init__(self, source: CodeSource, password: Secret, clock: Clock, poll_s: float) -> None:
        assert isinstance(source.target, MailTarget)
        self._source = source
        self._target = source.target
        self._password = password
        self._clock = clock
        self._poll_s = poll_s
        self.place = Place(source.place)

    async def mails(
        self, rules: EgressRules, ready: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[tuple[Mail, datetime]]:
        """New mail with the moment it counts as received, for as long as the connection lasts."""
        client = await connect(self._target, self._password, rules)
        try:
            self._begin(client)
            live = False
            await ready()
            while True:
                for uid in await client.after(self.place.uid):
                    found = await client.fetch(uid)
                    self.place.uid = uid
                    if found is None:
                        continue
                    arrived_at = self._received_at(found, live)
                    if arrived_at is not None:
                        yield found, arrived_at
                live = True
                await self._wait(client)
        finally:
            await client.close()

    def _begin(self, client: Imap) -> None:
        """Goes on where the last watch ended; a mailbox seen for the first time begins now."""
        if self.place.validity != client.uid_validity:
            self.place.validity = client.uid_validity
            self.place.uid = client.uid_next - 1

    def _received_at(self, found: Mail, live: bool) -> datetime | None:
        """When it came: now if we saw it come, else what the server says; None when too old."""
        now = self._clock.now()
        if live or found.arrived_at is None:
            return now
        arrived_at = min(found.arrived_at, now)
        return arrived_at if now - arrived_at <= domain.LOOK_BACK else None

    async def _wait(self, client: Imap) -> None:
        if client.can_push:
            await client.new_mail(IDLE_S)
        else:
            await self._clock.sleep(self._poll_s)
            await client.still_there()


def recipient(content: str, identifier: str) -> str:
    """The address a mail counts as sent to: the tagged form of the identifier, if it is to one."""
    headers = mail.headers(content)
    if headers is None:
        return identifier
    written = [str(value) for name in _RECIPIENTS for value in headers.get_all(name, [])]
    for _name, address in getaddresses(written):
        spelled = address.strip().casefold()
        local, at, host = spelled.rpartition("@")
        if at and f"{local.partition('+')[0]}@{host}" == identifier:
            return spelled
    return identifier
