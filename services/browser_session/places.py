"""Places: how many browsers may run at once, and the fair line of those who wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from libs import errors
from libs.db import Database, Tx
from libs.signals import Signals
from services.browser_session import store
from services.browser_session.domain import Session, State

RETRY_AFTER_S = 2.0
ROOM_POLL_S = 1.0


class Places:
    """The places of all replicas together."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        capacity: int,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._db = database
        self._signals = signals
        self._capacity = capacity
        self._spawn = spawn

    def admit(self, tx: Tx, queued: Session) -> Session:
        """The session with a place if there is one for it now, else as it was."""
        if store.sessions.admit(tx, queued.session_id, self._capacity):
            return replace(queued, state=State.PROVISIONING)
        return queued

    async def get(self, session_id: str, timeout_s: float) -> None:
        """Waits for a place; raises Exhausted, and the session is as if never asked for."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wait(session_id)
        except TimeoutError:
            if not await self._db.write(lambda tx: store.sessions.withdraw(tx, session_id)):
                return
            raise errors.Exhausted(
                "no room for another browser now", retry_after_s=RETRY_AFTER_S
            ) from None
        except asyncio.CancelledError:
            self._spawn(self._withdraw(session_id))
            raise

    async def _wait(self, session_id: str) -> None:
        async with self._signals.subscribe(store.ROOM) as room:
            while True:
                if await self._db.write(
                    lambda tx: store.sessions.admit(tx, session_id, self._capacity)
                ):
                    return
                row = await self._db.read(lambda tx: store.sessions.get_anywhere(tx, session_id))
                if row is None or row.state is not State.QUEUED:
                    return
                await room.wait(ROOM_POLL_S)

    async def _withdraw(self, session_id: str) -> None:
        await self._db.write(lambda tx: store.sessions.withdraw(tx, session_id))
