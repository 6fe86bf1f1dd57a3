"""screenshot: keeps a picture of the page."""

from __future__ import annotations

from .contract import (
    BlockContext,
    BlockFailed,
    BrowserBlock,
    Flag,
    Outcome,
    Params,
    TaskOrder,
    Url,
    Words,
)


class ScreenshotParams(Params):
    """Parameters of screenshot."""

    name: Words = "screenshot"
    full_page: Flag = False
    url: Url | None = None


class Screenshot(BrowserBlock):
    """Keeps a picture of the page."""

    kind = "screenshot"
    summary = "Keeps a picture of the page."
    Params = ScreenshotParams
    default_timeout_s = 60.0

    def order(self, params: ScreenshotParams) -> TaskOrder:
        """A task with one screenshot action."""
        action = {"kind": "screenshot", "name": params.name, "full_page": params.full_page}
        return TaskOrder(url=params.url or "", actions=(action,))

    async def run(self, params: ScreenshotParams, context: BlockContext) -> Outcome:
        """Have the task carried out; without a picture it has failed."""
        outcome = await context.tasks.execute(self.order(params), context)
        pictures = [file for file in outcome.artifacts if file.get("kind") == "screenshot"]
        if not pictures:
            raise BlockFailed(
                "SCREENSHOT_MISSING",
                "the task ended but brought no picture",
                task_id=outcome.task_id,
            )
        picture = pictures[-1]
        told = {"artifact_id": picture.get("artifact_id"), "name": picture.get("name")}
        return Outcome(told, f"kept {told['name']}", outcome.task_id, outcome.artifacts)
