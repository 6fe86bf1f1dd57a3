"""The recordings of this replica's sessions: begun and ended as their rows say, kept as artifacts.

A recording belongs to one browser: it ends with it, and what it has by then is kept, by this
replica or, when it died with its browser, by another.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path

from libs import ids
from libs.rpc.mesh import Mesh
from services.browser_session.artifacts import Artifacts
from services.browser_session.domain import Kind, Session
from services.browser_session.live import LiveSession
from services.browser_session.pool import Pool
from services.browser_session.view import store
from services.browser_session.view.recorder import Recorder
from services.browser_session.view.store import Recording
from services.browser_session.view.tape import files_of

FOLDER = "recordings"
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
        self._replica = mesh.replica
        self._root = mesh.settings.artifacts / FOLDER
        pool.on_live.append(self._greet)

    async def _greet(self, live: LiveSession) -> None:
        """A browser is there: what it does may be recorded from its beginning."""
        live.before_end.append(lambda: self.end(live))
        if not self._always:
            return
        row = await self._pool.row(live.session_id)
        if row is not None:
            # The browser before this one may have died with its replica.
            await self.rescue()
            begun = (row.organization_id, row.session_id, self._always)
            await self._db.write(lambda tx: store.begin_recording(tx, *begun))
            await self.begin(live, self._always)

    async def apply(self, live: LiveSession, wanted: Recording | None) -> None:
        """Brings what is recorded in line with what is wanted."""
        if wanted is not None and wanted.is_wanted and live.recorder is None:
            if not wanted.tape:
                await self.begin(live, wanted.kinds)
        elif live.recorder is not None and not (wanted and wanted.is_wanted):
            await self.end(live)

    async def begin(self, live: LiveSession, kinds: frozenset[Kind]) -> None:
        """Begins to record."""
        row = await self._pool.row(live.session_id)
        if row is None:
            return
        tape = ids.new("rec")
        folder = self._folder(row.organization_id, tape)
        recorder = Recorder(live, kinds, folder, self._pool.http, self._clock)
        recorder.tape = tape
        live.recorder = recorder
        laid = (row.session_id, tape, self._replica, live.generation)
        await self._db.write(lambda tx: store.lay_tape(tx, *laid))
        try:
            await recorder.start()
        except BaseException:
            live.recorder = None
            await self._db.write(lambda tx: store.lay_tape(tx, row.session_id, "", "", 0))
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        await self._db.write(lambda tx: store.recording_begun(tx, row.session_id))

    async def end(self, live: LiveSession) -> None:
        """Ends what is recorded and keeps it."""
        recorder, live.recorder = live.recorder, None
        row = await self._pool.row(live.session_id)
        if recorder is not None and row is not None:
            files = await recorder.finish()
            await self._keep(row, recorder.tape, live.generation, files)

    async def rescue(self) -> None:
        """Keeps what there is of recordings whose replica has died.

        They are this one's when this returns, and kept a little later.
        """
        for left in await self._db.read(store.left_recordings):
            if await self._db.write(lambda tx, left=left: store.take_tape(tx, left, self._replica)):
                self._pool.spawn(self._finish(left))

    async def _finish(self, left: Recording) -> None:
        row = await self._pool.row(left.session_id)
        if row is None:
            return
        folder = self._folder(left.organization_id, left.tape)
        files = await asyncio.to_thread(files_of, folder, left.kinds)
        log.warning("keeps what a dead replica recorded of session %s", left.session_id)
        await self._keep(row, left.tape, left.generation, files)

    async def _keep(
        self, row: Session, tape: str, generation: int, files: dict[Kind, Path]
    ) -> None:
        kept = [
            await self._artifacts.keep_made(row, kind, f"session-{generation}", path)
            for kind, path in files.items()
        ]
        artifact_ids = [one.artifact_id for one in kept]
        ours = (row.session_id, tape, self._replica, artifact_ids)
        await self._db.write(lambda tx: store.keep_recording(tx, *ours))
        folder = self._folder(row.organization_id, tape)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _folder(self, organization_id: str, tape: str) -> Path:
        """Beside the artifacts, where every replica that may finish it finds it."""
        return self._root / organization_id / tape
