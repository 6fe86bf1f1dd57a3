"""Links: sealed, expiring texts that carry one right to one session or one file.

A link is a claim sealed with the service's vault, so that it can neither be read nor changed, and
every replica can open it. Nothing is stored, unless it is revoked: a link ends with its time, its
session, its lease or its wheel, whichever is first.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from libs import errors
from libs.clock import Clock
from libs.secrets import Secret, Vault
from services.browser_session.tokens import InvalidToken
from services.browser_session.view.rights import Leave, Right

PURPOSE = b"podium link"
DEFAULT_TIME = timedelta(hours=1)
LONGEST_TIME = timedelta(hours=24)
LONGEST_TOKEN = 1024


@dataclass(frozen=True)
class Link:
    """What a link says."""

    right: Right
    organization_id: str
    subject: str
    """The session or the artifact."""
    expires_at: datetime
    fence: int | None = None
    control_id: str = ""
    link_id: str = ""
    """What it is revoked by; empty for what nobody outside is given."""
    series: int = 0

    @property
    def leave(self) -> Leave:
        """What it grants at the door to the browser."""
        return Leave(
            self.right, self.fence, self.control_id, self.expires_at, self.link_id, self.series
        )


class Links:
    """Makes links and opens them."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock

    def until(self, asked: timedelta | None, latest: datetime | None = None) -> datetime:
        """When a link ends that is to last as long as asked; Invalid for a useless length."""
        if asked is not None and not timedelta(0) < asked <= LONGEST_TIME:
            raise errors.Invalid("ttl", "must be more than 0 and at most 24 hours")
        expires_at = self._clock.now() + (asked or DEFAULT_TIME)
        return min(expires_at, latest) if latest else expires_at

    def seal(self, link: Link) -> Secret:
        """The text that carries the right."""
        claim = [
            link.right.value,
            link.organization_id,
            link.subject,
            int(link.expires_at.timestamp()),
            link.fence,
            link.control_id,
            link.link_id,
            link.series,
        ]
        sealed = self._vault.seal(json.dumps(claim).encode(), PURPOSE)
        return Secret(base64.urlsafe_b64encode(sealed).rstrip(b"=").decode())

    def open(self, token: str, subject: str) -> Link:
        """The link of a text; raises InvalidToken when it does not open this subject now."""
        if not token or len(token) > LONGEST_TOKEN:
            raise InvalidToken("the link is malformed")
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
            right, organization_id, named, expires, fence, control_id, link_id, series = json.loads(
                self._vault.open(sealed, PURPOSE)
            )
        except (binascii.Error, ValueError, errors.Internal) as reason:
            raise InvalidToken("the link was not made by this service") from reason
        if named != subject:
            raise InvalidToken("the link is for something else")
        expires_at = datetime.fromtimestamp(expires, UTC)
        if self._clock.now() >= expires_at:
            raise InvalidToken("the link has expired")
        held = fence, control_id, link_id, series
        return Link(Right(right), organization_id, named, expires_at, *held)
