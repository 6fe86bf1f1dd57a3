"""This replica's sessions as people outside want them: who holds a wheel, what is recorded.

Both are rows that any replica may write; here the browsers are brought in line with them. What went
through the door is written down on the way.
"""

from __future__ import annotations

import logging

from libs.rpc.mesh import Mesh
from services.browser_session.live import LiveSession
from services.browser_session.pool import Pool
from services.browser_session.settings import BrowserSettings
from services.browser_session.view import store
from services.browser_session.view.control import give_back
from services.browser_session.view.recordings import Recordings
from services.browser_session.view.store import Control
from services.browser_session.view.usage import Usage

log = logging.getLogger(__name__)


class Wheels:
    """Gives wheels to people and back to the agents, as the rows say."""

    def __init__(self, mesh: Mesh, pool: Pool, recordings: Recordings) -> None:
        assert isinstance(mesh.settings, BrowserSettings)
        self._sweep_s = mesh.settings.browser_sweep_s
        self._db = mesh.db
        self._signals = mesh.signals
        self._replica = mesh.replica
        self._pool = pool
        self._recordings = recordings

    async def attend(self) -> None:
        """Looks whenever a wheel was taken or given back, and now and then."""
        async with self._signals.subscribe(store.wheel_topic(self._replica)) as orders:
            while True:
                await orders.wait(self._sweep_s)
                try:
                    await self.sweep()
                except Exception:
                    # The next sweep is a moment away; a database that is away comes back.
                    log.exception("a sweep of the wheels failed")

    async def sweep(self) -> None:
        """Brings wheels and sockets in line with the rows, and writes down what was counted."""
        await self._pool.gateway.revoking.sweep()
        await self._recordings.rescue()
        await self._write_usage()
        here = dict(self._pool.live)
        now, held, recorded = await self._db.read(
            lambda tx: (
                tx.now,
                store.controls(tx, list(here)),
                store.recordings(tx, list(here)),
            )
        )
        for session_id, live in here.items():
            control = held.get(session_id)
            if control is not None and control.until <= now:
                await self._end(control)
                control = None
            await self._apply(live, control)
            if live.clearing is None:
                await self._recordings.apply(live, recorded.get(session_id))

    async def _end(self, control: Control) -> None:
        await self._db.write(lambda tx: give_back(tx, control))

    async def _apply(self, live: LiveSession, control: Control | None) -> None:
        before = live.wheel.control_id
        wanted = control.control_id if control else ""
        if wanted == before:
            return
        if before:
            await live.wheel.free()
            await self._pool.gateway.end_control(live.session_id, before)
        if wanted:
            live.wheel.take(wanted)
            self._pool.spawn(self._settle(live, wanted))

    async def _settle(self, live: LiveSession, control_id: str) -> None:
        await live.wheel.settle()
        if live.wheel.control_id == control_id:
            await self._db.write(lambda tx: store.settle_control(tx, live.session_id, control_id))

    async def _write_usage(self) -> None:
        counted: dict[str, Usage] = {}
        for session_id, usage in list(self._pool.gateway.usage.items()):
            if usage:
                counted[session_id] = usage.take()
            elif session_id not in self._pool.live:
                del self._pool.gateway.usage[session_id]
        if counted:
            await self._db.write(lambda tx: store.add_usage(tx, counted))
