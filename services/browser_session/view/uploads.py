"""Files that come from outside, in one piece or several, to be put into pages later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from libs import errors, ids
from libs.db import Database, Tx
from services.browser_session.domain import Artifact, Kind, content_type_of, safe_name
from services.browser_session.files import ArtifactFiles
from services.browser_session.view import store
from services.browser_session.view.limits import Limits
from services.browser_session.view.store import Upload

FOLDER = "uploads"
LONGEST_TYPE = 100
# One that nobody has gone on with for so long is forgotten.
ABANDONED_AFTER = timedelta(hours=24)


@dataclass(frozen=True)
class Piece:
    """A part of a file."""

    artifact_id: str
    name: str
    content_type: str
    offset: int
    data: bytes
    is_last: bool


class Uploads:
    """Takes files in. A file is in its place before its row says so."""

    def __init__(self, root: Path, db: Database, limits: Limits) -> None:
        self._files = ArtifactFiles(root)
        self._db = db
        self._limits = limits

    async def take(self, organization_id: str, piece: Piece) -> tuple[str, Artifact | None]:
        """The id of the file, and the artifact once its last piece is there.

        Raises FailedPrecondition when the piece does not follow what has come so far.
        """
        upload = await self._upload(organization_id, piece)
        end = piece.offset + len(piece.data)
        if end > self._limits.largest_upload_bytes:
            most = self._limits.largest_upload_bytes
            raise errors.Invalid("data", f"makes the file larger than {most} bytes")
        part = self._part(upload)
        if upload.size_bytes != end or not piece.data:
            if upload.size_bytes != piece.offset:
                raise errors.FailedPrecondition(
                    f"{upload.size_bytes} bytes have come so far, not {piece.offset}",
                    reason="UPLOAD_OFFSET",
                    metadata={"offset": str(upload.size_bytes)},
                )
            await asyncio.to_thread(_write, part, piece.offset, piece.data)
            await self._db.write(lambda tx: store.grow_upload(tx, upload.artifact_id, end))
        if not piece.is_last:
            return upload.artifact_id, None
        return upload.artifact_id, await self._finish(upload, part)

    async def _upload(self, organization_id: str, piece: Piece) -> Upload:
        if piece.artifact_id:
            ids.check("artifact_id", "art", piece.artifact_id)
            return await self._db.read(
                lambda tx: store.upload(tx, organization_id, piece.artifact_id)
            )
        if piece.offset:
            raise errors.Invalid("offset", "must be 0 for the first piece of a file")
        name = safe_name(piece.name, "")
        if not name:
            raise errors.Invalid("name", "is required")
        content_type = piece.content_type or content_type_of(name)
        if len(content_type) > LONGEST_TYPE or not content_type.isprintable():
            raise errors.Invalid("content_type", f"must be at most {LONGEST_TYPE} characters")
        if why := self._limits.why_not(name, content_type):
            raise errors.Invalid("name", why)

        def unit(tx: Tx) -> Upload:
            new = Upload(ids.new("art"), organization_id, name, content_type, 0, tx.now)
            store.add_upload(tx, new)
            return new

        return await self._db.write(unit)

    async def _finish(self, upload: Upload, part: Path) -> Artifact:
        target = self._files.path(upload.organization_id, FOLDER, upload.artifact_id)
        await asyncio.to_thread(_write, part, upload.size_bytes, b"")
        stored = await self._files.keep_file(target, part)
        keep_for = self._limits.keep_for

        def unit(tx: Tx) -> Artifact:
            kept = Artifact(
                artifact_id=upload.artifact_id,
                organization_id=upload.organization_id,
                session_id="",
                run_id="",
                kind=Kind.UPLOAD,
                name=upload.name,
                content_type=upload.content_type,
                size_bytes=stored.size_bytes,
                sha256=stored.sha256,
                position=0,
                created_at=tx.now,
                expires_at=tx.now + keep_for if keep_for else None,
            )
            store.finish_upload(tx, kept)
            return kept

        return await self._db.write(unit)

    def _part(self, upload: Upload) -> Path:
        folder = self._files.path(upload.organization_id, FOLDER, upload.artifact_id)
        return folder.with_name(f"{upload.artifact_id}.coming")


def _write(part: Path, offset: int, data: bytes) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("r+b" if part.exists() else "w+b") as file:
        file.seek(offset)
        file.write(data)
