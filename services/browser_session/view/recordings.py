"""The recordings of this replica's sessions: begun and ended as their rows say, kept as artifacts.

A recording belongs to one browser: it ends with it, and what it has by then is kept.
"""

from __future__ import annotations

import logging

from libs.rpc.mesh import Mesh
from services.browser_session.artifacts import Artifacts
from services.browser_session.domain import Kind
from services.browser_session.live import LiveSession
from services.browser_session.pool import Pool
from services.browser_session.view import store
from services.browser_session.view.recorder import Recorder
from services.browser_session.view.store import Recording

FOLDER = "recording"
log = logging.getLogger(__name__)


class Recordings:
    """Has sessions recorded."""

    def __init__(
        self, mesh: Mesh, pool: Pool, artifacts: Artifacts, always: frozenset[Kind]
    ) -> None:
        self._db = mesh.db
        self._clock = mesh.clock
        self._pool = pool
        self._artifacts = artifacts
        self._always = always
        pool.on_live.append(self._greet)

    async def _greet(self, live: LiveSession) -> None:
        """A browser is there: what it does may be recorded from its beginning."""
        live.before_end.append(lambda: self.end(live))
        if not self._always:
            return
        row = await self._pool.row(live.session_id)
        if row is not None:
            begun = (row.organization_id, row.session_id, self._always)
            await self._db.write(lambda tx: store.begin_recording(tx, *begun))
            await self.begin(live, self._always)

    async def apply(self, live: LiveSession, wanted: Recording | None) -> None:
        """Brings what is recorded in line with what is wanted."""
        if wanted is not None and wanted.is_wanted and live.recorder is None:
            await self.begin(live, wanted.kinds)
        elif live.recorder is not None and not (wanted and wanted.is_wanted):
            await self.end(live)

    async def begin(self, live: LiveSession, kinds: frozenset[Kind]) -> None:
        """Begins to record."""
        folder = live.browser.directory / FOLDER
        recorder = Recorder(live, kinds, folder, self._pool.http, self._clock)
        live.recorder = recorder
        try:
            await recorder.start()
        except BaseException:
            live.recorder = None
            raise
        await self._db.write(lambda tx: store.recording_begun(tx, live.session_id))

    async def end(self, live: LiveSession) -> None:
        """Ends what is recorded and keeps it."""
        recorder, live.recorder = live.recorder, None
        row = await self._pool.row(live.session_id)
        if recorder is None or row is None:
            return
        files = await recorder.finish()
        kept = [
            await self._artifacts.keep_made(row, kind, f"session-{live.generation}", path)
            for kind, path in files.items()
        ]
        artifact_ids = [one.artifact_id for one in kept]
        await self._db.write(lambda tx: store.keep_recording(tx, live.session_id, artifact_ids))
