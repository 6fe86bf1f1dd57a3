"""What opens a session, and for whom: keys at rest, tokens of runs, links of people."""

from __future__ import annotations

from datetime import timedelta

from libs import ids
from libs.clock import Clock
from libs.secrets import Secret, Vault
from services.browser_session.domain import Session
from services.browser_session.presence import Hidden, hidden_seal
from services.browser_session.tokens import Claim, sign, verify
from services.browser_session.view.links import Link, Links
from services.browser_session.view.rights import Leave, Right

LONGEST_CALL = timedelta(minutes=10)


def key_seal(session_id: str) -> bytes:
    """What ties the sealed key of a session's tokens to its row."""
    return session_id.encode()


class Keyring:
    """Seals and opens what the service's vault protects."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self.links = Links(vault, clock)

    def seal_new_key(self, session_id: str) -> bytes:
        """A key for the tokens of a new session, sealed for its row."""
        return self._vault.seal(ids.random_bytes(32), key_seal(session_id))

    def seal_options(self, session_id: str, hidden: Hidden) -> bytes:
        """What of a new session's options is never shown, sealed for its row."""
        return self._vault.seal(hidden.as_bytes(), hidden_seal(session_id))

    def token(self, row: Session) -> Secret:
        """A token that opens the session's browser for as long as this lease and life last."""
        key = self._vault.open(row.cdp_key, key_seal(row.session_id))
        return sign(key, Claim(row.session_id, row.fence, row.expires_at))

    def call_token(self, row: Session, right: Right = Right.CALL) -> Secret:
        """A token for a call of this service itself to whichever replica has the browser."""
        expires_at = self._clock.now() + LONGEST_CALL
        link = Link(right, row.organization_id, row.session_id, expires_at, row.fence)
        return self.links.seal(link)

    def control_token(self, row: Session, control_id: str) -> Secret:
        """A token to drive the session for whoever holds this control, until it ends."""
        expires_at = min(self._clock.now() + LONGEST_CALL, row.expires_at)
        link = Link(Right.DRIVE, row.organization_id, row.session_id, expires_at, None, control_id)
        return self.links.seal(link)

    def leave(self, row: Session, token: str) -> Leave:
        """What a token is good for: that of a run has a dot, a link has none."""
        if "." not in token:
            return self.links.open(token, row.session_id).leave
        key = self._vault.open(row.cdp_key, key_seal(row.session_id))
        claim = verify(key, token, row.session_id, self._clock.now())
        return Leave(Right.AGENT, claim.fence, expires_at=claim.expires_at)
