"""Opening pages, going back, waiting."""

from __future__ import annotations

from playwright.async_api import Error as BrowserError
from playwright.async_api import Page, Response

from services.task import schema
from services.task.domain import Reason, TaskFailure
from services.task.grounding import Purpose

from . import troubles
from .scene import Scene

LOOK_EVERY_S = 0.1
GOTO_ATTEMPTS = 4
NAVIGATION_SETTLES_S = 0.3


async def goto(action: schema.Goto, scene: Scene) -> dict[str, object]:
    """Open an address and wait until its content can be read."""
    return _arrived(await opened(action, scene), scene.page, action.url)


async def opened(action: schema.Goto, scene: Scene) -> Response | None:
    """Open an address, whatever the site then answers."""
    scene.listen()
    for attempt in range(GOTO_ATTEMPTS):
        try:
            return await scene.page.goto(
                action.url, wait_until="domcontentloaded", timeout=action.timeout_ms
            )
        except BrowserError as error:
            # The error page of an address tried before may still be on its way in.
            interrupted = "interrupted by another navigation" in str(error)
            if not interrupted or attempt + 1 == GOTO_ATTEMPTS:
                raise troubles.not_opened(error, action.url, action.timeout_ms) from error
            await scene.clock.sleep(NAVIGATION_SETTLES_S)
    raise AssertionError("unreachable")


async def reload(action: schema.Reload, scene: Scene) -> dict[str, object]:
    """Load the page again."""
    url = scene.page.url
    try:
        response = await scene.page.reload(wait_until="domcontentloaded", timeout=action.timeout_ms)
    except BrowserError as error:
        raise troubles.not_opened(error, url, action.timeout_ms) from error
    return _arrived(response, scene.page, url)


async def go_back(action: schema.GoBack, scene: Scene) -> dict[str, object]:
    """Go to the page before this one."""
    before = scene.page.url
    try:
        response = await scene.page.go_back(
            wait_until="domcontentloaded", timeout=action.timeout_ms
        )
    except BrowserError as error:
        raise troubles.not_opened(error, "the page before", action.timeout_ms) from error
    if response is None and scene.page.url == before:
        raise TaskFailure(Reason.PAGE_NOT_LOADED, "there is no page to go back to")
    return {"url": troubles.shown(scene.page.url)}


def _arrived(response: Response | None, page: Page, url: str) -> dict[str, object]:
    if response is not None and response.status >= 400:
        raise TaskFailure(
            Reason.PAGE_NOT_LOADED,
            f"could not open {troubles.shown(url)}: the site answered {response.status} "
            f"{response.status_text}".rstrip(),
        )
    return {"url": troubles.shown(page.url)}


async def wait_for(action: schema.WaitFor, scene: Scene) -> None:
    """Wait for what was named; failing says what was missing."""
    if action.seconds is not None:
        await scene.clock.sleep(action.seconds)
        return
    deadline = scene.clock.monotonic() + action.timeout_ms / 1000
    while await _there(action, scene) is action.gone:
        if scene.clock.monotonic() >= deadline:
            what = action.target or f'"{action.text or action.url}"'
            verb = "was still there" if action.gone else "did not appear"
            raise TaskFailure(
                Reason.WAIT_TIMED_OUT, f"{what} {verb} within {action.timeout_ms / 1000:g} s"
            )
        await scene.clock.sleep(LOOK_EVERY_S)


async def _there(action: schema.WaitFor, scene: Scene) -> bool:
    if action.url is not None:
        return action.url in scene.page.url
    if action.text is not None:
        return squash(action.text) in squash(await page_text(scene))
    assert action.target is not None
    try:
        await scene.find(action.target, Purpose.SEE, 0)
    except TaskFailure as failure:
        return failure.reason == Reason.TARGET_AMBIGUOUS
    return True


async def page_text(scene: Scene) -> str:
    """All text a person can read on the page now."""
    texts = []
    for frame in scene.page.frames:
        try:
            texts.append(await frame.evaluate("() => document.body?.innerText ?? ''"))
        except BrowserError as error:
            if troubles.is_lost(error) and frame == scene.page.main_frame:
                raise
    return "\n".join(texts)


def squash(text: str) -> str:
    """Text for comparing: one space between words, no case."""
    return " ".join(text.casefold().split())
