"""The bytes of artifacts: where they lie on disk, how they get there whole, how they are read."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from libs import errors

CHUNK_BYTES = 64 * 1024
HASH_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Stored:
    """What is known of a file once it is in its place."""

    size_bytes: int
    sha256: str


class ArtifactFiles:
    """Files below one directory: <organization>/<session>/<artifact id>."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, organization_id: str, session_id: str, artifact_id: str) -> Path:
        """Where the bytes of an artifact lie. All three are ids of ours, never a given name."""
        return self._root / organization_id / session_id / artifact_id

    async def keep_bytes(self, target: Path, data: bytes) -> Stored:
        """Writes the bytes so that the file is there whole or not at all."""
        return await asyncio.to_thread(_keep_bytes, target, data)

    async def keep_file(self, target: Path, source: Path) -> Stored:
        """Takes over a finished file; the source is gone afterwards."""
        return await asyncio.to_thread(_keep_file, target, source)

    async def read(self, path: Path) -> AsyncIterator[bytes]:
        """The bytes in pieces of at most 64 KiB; NotFound when the file was removed."""
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except FileNotFoundError as reason:
            raise errors.NotFound("artifact", path.name) from reason
        try:
            while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield piece
        finally:
            file.close()


def _keep_bytes(target: Path, data: bytes) -> Stored:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.part")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(target)
    return Stored(len(data), hashlib.sha256(data).hexdigest())


def _keep_file(target: Path, source: Path) -> Stored:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.part")
    shutil.move(source, unfinished)
    digest = hashlib.sha256()
    with unfinished.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
        os.fsync(file.fileno())
    unfinished.replace(target)
    return Stored(target.stat().st_size, digest.hexdigest())
