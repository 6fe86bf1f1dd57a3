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
from services.browser_session.domain import Reason, Session, State

RETRY_AFTER_S = 2.0
ROOM_POLL_S = 1.0


class Places:
    """The places of all replicas together."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        capacity: Callable[[], int],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._db = database
        self._signals = signals
        self._capacity = capacity
        self._spawn = spawn

    def admit(self, tx: Tx, queued: Session) -> Session:
        """The session with a place if there is one for it now, else as it was."""
        if store.sessions.admit(tx, queued.session_id, self._capacity()):
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

    async def wait_for(self, queued: Session, timeout_s: float) -> None:
        """Waits for a place; a session that gets none in time has ended, and stays to be seen."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wait(queued.session_id)
        except TimeoutError:
            await self._give_up(queued)

    async def _wait(self, session_id: str) -> None:
        async with self._signals.subscribe(store.ROOM) as room:
            while True:
                capacity = self._capacity()
                if await self._db.write(self._admitting(session_id, capacity)):
                    return
                row = await self._db.read(lambda tx: store.sessions.get_anywhere(tx, session_id))
                if row is None or row.state is not State.QUEUED:
                    return
                await room.wait(ROOM_POLL_S)

    @staticmethod
    def _admitting(session_id: str, capacity: int) -> Callable[[Tx], bool]:
        return lambda tx: store.sessions.admit(tx, session_id, capacity)

    async def _give_up(self, row: Session) -> None:
        await self._db.write(
            lambda tx: (
                store.sessions.end(tx, row, State.TIMED_OUT, Reason.QUEUE_TIMEOUT)
                if store.sessions.is_queued(tx, row.session_id)
                else False
            )
        )

    async def _withdraw(self, session_id: str) -> None:
        await self._db.write(lambda tx: store.sessions.withdraw(tx, session_id))
