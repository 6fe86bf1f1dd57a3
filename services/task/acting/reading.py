"""Reading data off the page, and keeping downloads and pictures of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
from playwright.async_api import Error as BrowserError
from playwright.async_api import Page

from services.task import schema
from services.task.domain import Reason, TaskFailure
from services.task.extract import free, rules
from services.task.grounding import Purpose
from services.task.ports import Artifact

from . import troubles
from .moving import page_text
from .pointing import clickable
from .scene import Found, Scene

_SCRIPT = (Path(__file__).parents[1] / "extract" / "page.js").read_text()
LOOK_AGAIN_S = 0.15
STILL_FOR_S = 1.5


async def extract(action: schema.Extract, scene: Scene) -> Any:
    """Read the page; while it still changes, what is missing may come yet."""
    start = last_change = scene.clock.monotonic()
    before: rules.Content | None = None
    while True:
        content = await _content(scene)
        now = scene.clock.monotonic()
        last_change = now if content != before else last_change
        before = content
        try:
            if action.json_schema is None:
                return free.extract(content, action.instruction)
            return rules.extract(action.json_schema, content, action.instruction)
        except TaskFailure:
            if now - last_change >= STILL_FOR_S or (now - start) * 1000 >= action.timeout_ms:
                if scene.reader is not None and action.json_schema is not None:
                    return await _by_model(action.json_schema, action.instruction, scene)
                raise
        await scene.clock.sleep(LOOK_AGAIN_S)


async def _content(scene: Scene) -> rules.Content:
    for _ in range(10):
        try:
            return rules.content_of(await scene.page.evaluate(_SCRIPT))
        except BrowserError as error:
            if not troubles.is_passing(error):
                raise
            await scene.clock.sleep(LOOK_AGAIN_S)
    raise TaskFailure(Reason.NOTHING_TO_EXTRACT, "the page never stopped changing")


async def _by_model(wanted: dict[str, Any], instruction: str, scene: Scene) -> Any:
    assert scene.reader is not None
    text = scene.scrub(await page_text(scene))
    found = await scene.reader.read(wanted, instruction, text)
    errors = list(jsonschema.Draft202012Validator(wanted).iter_errors(found))
    if errors:
        raise TaskFailure(
            Reason.EXTRACTION_INVALID,
            f"what the model read does not fit the schema: {errors[0].message[:300]}",
        )
    return found


async def screenshot(action: schema.Screenshot, scene: Scene) -> dict[str, Any]:
    """Keep a picture of the page as an artifact."""
    kept = await scene.session.screenshot(action.name or "", full_page=action.full_page)
    scene.artifacts.append(kept)
    return described(kept)


async def download(action: schema.Download, scene: Scene) -> dict[str, Any]:
    """Start the download, wait until the file is kept, and say what it is."""

    async def trigger() -> None:
        if action.url is not None:
            await _open_file(scene.page, action.url, action.timeout_ms)
            return

        async def act(found: Found, timeout_ms: float) -> None:
            await (await clickable(found)).click(timeout=timeout_ms)

        assert action.target is not None
        async with scene.answering_dialogs(accept=False):
            ready_ms = min(action.timeout_ms, schema.ACTION_TIMEOUT_MS)
            await scene.use(action.target, Purpose.POINT, ready_ms, act)

    kept = await scene.session.download(trigger, action.timeout_ms / 1000)
    scene.artifacts.append(kept)
    return described(kept)


async def _open_file(page: Page, url: str, timeout_ms: int) -> None:
    try:
        response = await page.goto(url, wait_until="commit", timeout=timeout_ms)
    except BrowserError as error:
        # An address that answers with a file is no page: the browser says so in one of these ways.
        if any(said in str(error) for said in ("ERR_ABORTED", "Download is starting")):
            return
        raise troubles.not_opened(error, url, timeout_ms) from error
    status = response.status if response else 200
    shown = troubles.shown(url)
    said = f"the site answered {status}" if status >= 400 else "it is a page, not a file"
    raise TaskFailure(Reason.DOWNLOAD_FAILED, f"could not download {shown}: {said}")


def described(kept: Artifact) -> dict[str, Any]:
    """How an artifact appears in the output of an action."""
    return {
        "artifact_id": kept.artifact_id,
        "name": kept.name,
        "size_bytes": kept.size_bytes,
        "sha256": kept.sha256,
    }
