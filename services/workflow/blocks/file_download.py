"""file_download: brings a file from the page."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from .contract import (
    OR_TEMPLATE,
    BlockContext,
    BlockFailed,
    BrowserBlock,
    Outcome,
    Params,
    TaskOrder,
    Text,
    Url,
)


class FileDownloadParams(Params):
    """Parameters of file_download: what to click, which address to open, or a goal in words."""

    target: str | dict[str, Any] | None = None
    download_url: Url | None = None
    goal: Text = ""
    url: Url | None = None
    timeout_ms: Annotated[int, Field(ge=1, le=600_000), OR_TEMPLATE] = 60_000

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [bool(self.target), bool(self.download_url), bool(self.goal)]
        if sum(given) != 1:
            raise ValueError("needs exactly one of target, download_url, goal")
        return self


class FileDownload(BrowserBlock):
    """Clicks what starts a download, or opens its address, and keeps the file."""

    kind = "file_download"
    summary = "Clicks what starts a download, or opens its address, and keeps the file."
    Params = FileDownloadParams

    def order(self, params: FileDownloadParams) -> TaskOrder:
        """A task with one download action, or with the goal."""
        if params.goal:
            return TaskOrder(url=params.url or "", goal=params.goal)
        action: dict[str, Any] = {"kind": "download", "timeout_ms": params.timeout_ms}
        if params.target:
            action["target"] = params.target
        else:
            action["url"] = params.download_url
        return TaskOrder(url=params.url or "", actions=(action,))

    async def run(self, params: FileDownloadParams, context: BlockContext) -> Outcome:
        """Have the task carried out; without a file it has failed."""
        outcome = await context.tasks.execute(self.order(params), context)
        files = [file for file in outcome.artifacts if file.get("kind") == "download"]
        if not files:
            raise BlockFailed(
                "DOWNLOAD_MISSING", "the task ended but brought no file", task_id=outcome.task_id
            )
        facts = ("artifact_id", "name", "size_bytes", "sha256")
        told = [{fact: file.get(fact) for fact in facts} for file in files]
        return Outcome(
            {**told[0], "files": told},
            f"downloaded {told[0]['name']} ({told[0]['size_bytes']} bytes)",
            outcome.task_id,
            outcome.artifacts,
        )
