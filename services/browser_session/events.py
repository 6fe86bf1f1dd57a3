"""What this service does about the events of others."""

from __future__ import annotations

from libs.db import Database, Tx
from podium.common.v1 import event_pb2
from services.browser_session import leases
from services.browser_session.pool import Pool


class RunEvents:
    """Gives back the browsers of runs that are over, whoever forgot to."""

    stream = "run"
    types = frozenset({"run.finished"})

    def __init__(self, db: Database, pool: Pool) -> None:
        self._db = db
        self._pool = pool

    async def handle(self, event: event_pb2.Event) -> None:
        """Releases every session of the run, and gives it none from now on. The order of releases
        is its own inbox: releasing what is released changes nothing, so a repeat needs no memory.
        """
        needs_browser = dict(event.data).get("needs_browser", True)

        wear = self._pool.wear

        def unit(tx: Tx) -> list[str]:
            # A run that needs no browser never asks for one: nothing has to be remembered.
            take_back = leases.end_run if needs_browser else leases.release_all
            return take_back(tx, event.organization_id, event.run_id, wear)

        for session_id in await self._db.write(unit):
            await self._pool.await_cleared(session_id)
