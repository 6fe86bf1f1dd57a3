"""Files whose time is over are removed, and so are uploads that nobody went on with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from libs.clock import Clock
from libs.db import Database
from services.browser_session.domain import Artifact
from services.browser_session.files import ArtifactFiles
from services.browser_session.view import store
from services.browser_session.view.uploads import ABANDONED_AFTER, FOLDER

AT_ONCE = 100
log = logging.getLogger(__name__)


class Retention:
    """Removes files. The row goes last: what is left half removed is removed again."""

    def __init__(self, root: Path, db: Database, clock: Clock, sweep_s: float) -> None:
        self._files = ArtifactFiles(root)
        self._db = db
        self._clock = clock
        self._sweep_s = sweep_s

    async def attend(self) -> None:
        """Sweeps now and then. Replicas that sweep at once remove the same, which does no harm."""
        while True:
            try:
                while await self.sweep() == AT_ONCE:
                    pass
            except Exception:
                # The next sweep comes; a database that is away comes back.
                log.exception("a sweep of the artifacts failed")
            await self._clock.sleep(self._sweep_s)

    async def sweep(self) -> int:
        """Removes some of what is over; answers how much."""
        over = await self._db.read(lambda tx: store.expired(tx, AT_ONCE))
        await self.remove(over)
        left = await self._db.read(lambda tx: store.abandoned(tx, ABANDONED_AFTER, AT_ONCE))
        for upload in left:
            path = self._files.path(upload.organization_id, FOLDER, upload.artifact_id)
            path.with_name(f"{upload.artifact_id}.coming").unlink(missing_ok=True)
        if left:
            await self._db.write(
                lambda tx: store.forget_uploads(tx, [one.artifact_id for one in left])
            )
        return len(over)

    async def remove(self, artifacts: Iterable[Artifact]) -> None:
        """Removes these files and their rows."""
        listed = list(artifacts)
        paths = [
            self._files.path(one.organization_id, one.session_id or FOLDER, one.artifact_id)
            for one in listed
        ]
        await asyncio.to_thread(_unlink, paths)
        if listed:
            await self._db.write(
                lambda tx: store.forget_artifacts(tx, [one.artifact_id for one in listed])
            )


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
