"""Who may come in, through either door: a known key, not too often; then the context is set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.auth import Caller, Keys
from gateway.entry import Entry, entry_of
from gateway.limits import RateLimit
from libs import context, errors
from libs.rpc.peers import Peers

# All links together have the rate of one key: nobody can tell them apart before they are opened.
SIGNED = "links"


class Admission:
    """The first steps of every request."""

    def __init__(self, keys: Keys, rate: RateLimit, peers: Peers | None = None) -> None:
        self._keys = keys
        self._rate = rate
        self._peers = peers

    def check_peer(self, grpc_context: Any) -> None:
        """Over TCP with TLS, only Envoy comes in."""
        if self._peers:
            self._peers.check_is_envoy(grpc_context)

    def begin(self, headers: Mapping[str, str]) -> Entry:
        """Give the running task a context of its own; nothing that the client claims is in it."""
        entry = entry_of(headers)
        context.assign(
            request_id=entry.request_id,
            organization_id="",
            caller="",
            run_id="",
            workflow_run_id="",
            task_id="",
            canary=entry.canary,
        )
        return entry

    async def admit(self, headers: Mapping[str, str]) -> Caller:
        """Identify the caller and count the call; from here on the work is its organisation's."""
        caller = await self._keys.identify(headers)
        context.assign(organization_id=caller.organization_id, caller=caller.key_id)
        self._rate.take(caller.key_id)
        return caller

    def admit_signed(self, token: str) -> None:
        """Count a call that proves itself by a link; whose it is, only its service knows."""
        if not token:
            raise errors.Unauthenticated(
                "the link is not complete: its token is missing", reason="LINK_INVALID"
            )
        self._rate.take(SIGNED)
