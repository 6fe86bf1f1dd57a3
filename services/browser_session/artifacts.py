"""Artifacts: a file on disk and its row, made together and found together."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

from libs import errors, ids
from libs.clock import Clock
from libs.db import Database, Tx
from libs.signals import Signals
from services.browser_session import store
from services.browser_session.domain import (
    Artifact,
    Kind,
    Session,
    check_usable,
    content_type_of,
    safe_name,
)
from services.browser_session.files import ArtifactFiles, Stored
from services.browser_session.view.limits import Limits
from services.browser_session.view.uploads import FOLDER

POLL_S = 1.0
NO_LIMITS = Limits()
log = logging.getLogger(__name__)
MADE = {
    Kind.SCREENSHOT: (".png", "image/png"),
    Kind.PDF: (".pdf", "application/pdf"),
    Kind.CONSOLE: (".jsonl", "application/x-ndjson"),
    Kind.HAR: (".har", "application/json"),
    Kind.RECORDING: (".zip", "application/zip"),
}
"""The ending and the media type of what is made here."""


class Artifacts:
    """What came out of the sessions. The file is in its place before its row says so."""

    def __init__(
        self,
        root: Path,
        db: Database,
        signals: Signals,
        clock: Clock,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self.limits = limits
        self._files = ArtifactFiles(root)
        self._db = db
        self._signals = signals
        self._clock = clock

    async def keep_screenshot(self, row: Session, name: str, image: bytes) -> Artifact:
        """Keeps a PNG under the given name, or one made of the time."""
        return await self.keep(row, Kind.SCREENSHOT, name, image)

    async def keep(self, row: Session, kind: Kind, name: str, data: bytes) -> Artifact:
        """Keeps what was made of a session under the given name, or one made of the time."""
        artifact_id = ids.new("art")
        stored = await self._files.keep_bytes(self._path(row, artifact_id), data)
        return await self._add_made(row, artifact_id, kind, name, stored)

    async def keep_made(self, row: Session, kind: Kind, name: str, path: Path) -> Artifact:
        """Takes over a file that was made of a session."""
        artifact_id = ids.new("art")
        stored = await self._files.keep_file(self._path(row, artifact_id), path)
        return await self._add_made(row, artifact_id, kind, name, stored)

    async def _add_made(
        self, row: Session, artifact_id: str, kind: Kind, name: str, stored: Stored
    ) -> Artifact:
        ending, content_type = MADE[kind]
        made_up = f"{kind.value}-{self._clock.now():%Y%m%d-%H%M%S}{ending}"
        shown = safe_name(name, made_up)
        if not shown.lower().endswith(ending):
            shown = f"{shown}{ending}"
        return await self._add(row, artifact_id, kind, shown, content_type, stored)

    async def keep_download(self, row: Session, path: Path, suggested_name: str) -> Artifact | None:
        """Takes over a file the browser has finished; None when such files are not kept."""
        artifact_id = ids.new("art")
        name = safe_name(suggested_name, "download")
        content_type = content_type_of(name)
        if why := self.limits.why_not(name, content_type):
            await self.refuse_download(row, name, why)
            path.unlink(missing_ok=True)
            return None
        stored = await self._files.keep_file(self._path(row, artifact_id), path)
        return await self._add(row, artifact_id, Kind.DOWNLOAD, name, content_type, stored)

    async def refuse_download(self, row: Session, name: str, why: str) -> None:
        """Says on the bus that a download was not kept."""
        log.warning("a download of session %s is not kept: %s", row.session_id, why)
        data = {"browser_session_id": row.session_id, "name": name, "reason": why}
        await self._db.write(
            lambda tx: tx.publish(
                "browser_session.download_refused",
                data,
                organization_id=row.organization_id,
                run_id=row.run_id,
            )
        )

    async def await_download(self, row: Session, after_id: str, wait_s: float) -> Artifact:
        """The first download behind the given artifact.

        Raises DeadlineExceeded, or FailedPrecondition when the session ends without one.
        """
        deadline = self._clock.monotonic() + wait_s

        def unit(tx: Tx) -> Artifact | None:
            position = 0
            if after_id:
                position = store.artifacts.get(tx, row.organization_id, after_id).position
            return store.artifacts.first_download_after(tx, row.session_id, position)

        async with self._signals.subscribe(store.changed(row.session_id)) as changed:
            while (found := await self._db.read(unit)) is None:
                await self._check_browser(row)
                left_s = deadline - self._clock.monotonic()
                if left_s <= 0:
                    raise errors.DeadlineExceeded(
                        f"no download was finished in {wait_s:g} s", reason="NO_DOWNLOAD"
                    )
                await changed.wait(min(left_s, POLL_S))
        return found

    async def _check_browser(self, row: Session) -> None:
        """No more downloads come out of a session whose browser is gone."""
        now = await self._db.read(
            lambda tx: store.sessions.get(tx, row.organization_id, row.session_id)
        )
        if not now.has_process:
            check_usable(now)

    async def last_id(self, session_id: str) -> str:
        """The newest artifact of a session; empty when it has none."""
        return await self._db.read(lambda tx: store.artifacts.last_id(tx, session_id))

    async def get(self, organization_id: str, artifact_id: str) -> Artifact:
        """One artifact of the organisation; raises NotFound."""
        ids.check("artifact_id", "art", artifact_id)
        return await self._db.read(lambda tx: store.artifacts.get(tx, organization_id, artifact_id))

    def read(self, kept: Artifact) -> AsyncIterator[bytes]:
        """Its bytes in pieces; NotFound when the file was removed."""
        folder = kept.session_id or FOLDER
        path = self._files.path(kept.organization_id, folder, kept.artifact_id)
        return self._files.read(path)

    def _path(self, row: Session, artifact_id: str) -> Path:
        return self._files.path(row.organization_id, row.session_id, artifact_id)

    async def _add(
        self,
        row: Session,
        artifact_id: str,
        kind: Kind,
        name: str,
        content_type: str,
        stored: Stored,
    ) -> Artifact:
        keep_for = self.limits.keep_for
        return await self._db.write(
            lambda tx: store.artifacts.add(
                tx,
                row.session_id,
                expires_at=tx.now + keep_for if keep_for else None,
                artifact_id=artifact_id,
                kind=kind,
                name=name,
                content_type=content_type,
                size_bytes=stored.size_bytes,
                sha256=stored.sha256,
            )
        )
