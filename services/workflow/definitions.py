"""Checked definitions in memory: versions never change, so each is read and checked once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

from libs.db import Database

from . import document
from .document import Definition
from .domain import WorkflowRun, digest_of
from .store import definitions as stored

MOST_KEPT = 500
# Above this a check takes long enough to be felt by other calls.
SMALL_DOCUMENT_BLOCKS = 20


class Definitions:
    """A cache in front of the definitions of all organisations, least recently used first out."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[tuple[str, Any], Definition] = OrderedDict()

    async def of_version(
        self, organization_id: str, workflow_id: str, version: int
    ) -> Definition | None:
        """The definition of one version; None when there is no such version."""
        key = (workflow_id, version)
        kept = self._recall(key)
        if kept is not None:
            return kept
        found = await self._database.read(
            lambda tx: stored.version(tx, organization_id, workflow_id, version)
        )
        if found is None:
            return None
        return self._keep(key, await self._checked(found.document, "document"))

    async def of_document(self, value: dict[str, Any], root: str = "document") -> Definition:
        """The definition of an inline document. Raises errors.Invalid."""
        key = ("", digest_of(value))
        return self._recall(key) or self._keep(key, await self._checked(value, root))

    async def of_run(self, run: WorkflowRun) -> Definition | None:
        """The definition a workflow run is pinned to."""
        if run.document is not None:
            return await self.of_document(run.document)
        return await self.of_version(run.organization_id, run.workflow_id, run.version)

    def put(self, workflow_id: str, version: int, definition: Definition) -> None:
        """Remembers a version that was just saved."""
        self._keep((workflow_id, version), definition)

    async def _checked(self, value: dict[str, Any], root: str) -> Definition:
        blocks = value.get("blocks")
        if isinstance(blocks, list) and len(blocks) <= SMALL_DOCUMENT_BLOCKS:
            return document.from_value(value, root)
        return await asyncio.to_thread(document.from_value, value, root)

    def _recall(self, key: tuple[str, Any]) -> Definition | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def _keep(self, key: tuple[str, Any], definition: Definition) -> Definition:
        self._kept[key] = definition
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return definition
