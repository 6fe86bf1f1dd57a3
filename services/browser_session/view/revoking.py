"""Links that are ended before their time: who is refused, and which open sockets are closed.

Rows say what was revoked, on whatever replica that was; here they are compared with the sockets
that are open on this one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from libs.db import Database
from services.browser_session import store
from services.browser_session.tokens import InvalidToken
from services.browser_session.view.rights import Leave


class Revoking:
    """Watches over the sockets that came with links."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._open: dict[str, dict[asyncio.Event, Leave]] = defaultdict(dict)

    async def check(self, session_id: str, leave: Leave) -> None:
        """Raises InvalidToken when the link was revoked. What is no link is not asked about."""
        if not leave.link_id:
            return
        revoked = await self._db.read(lambda tx: store.links.of_sessions(tx, [session_id]))
        if revoked.ends(session_id, leave.link_id, leave.series):
            raise InvalidToken("the link was revoked")

    @contextmanager
    def open(self, session_id: str, leave: Leave) -> Iterator[asyncio.Event]:
        """A socket is open inside the block; the event says that its link was revoked."""
        over = asyncio.Event()
        if not leave.link_id:
            yield over
            return
        self._open[session_id][over] = leave
        try:
            yield over
        finally:
            del self._open[session_id][over]
            if not self._open[session_id]:
                del self._open[session_id]

    async def sweep(self) -> None:
        """Says to each open socket whose link was revoked that it was."""
        session_ids = list(self._open)
        if not session_ids:
            return
        revoked = await self._db.read(lambda tx: store.links.of_sessions(tx, session_ids))
        for session_id in session_ids:
            for over, leave in list(self._open.get(session_id, {}).items()):
                if revoked.ends(session_id, leave.link_id, leave.series):
                    over.set()
