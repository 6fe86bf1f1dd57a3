"""Clicking, hovering, pressing keys, scrolling."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Error as BrowserError

from services.task import schema
from services.task.grounding import Purpose
from services.task.snapshot import Element

from . import troubles
from .scene import Found, Scene


async def click(action: schema.Click, scene: Scene) -> None:
    """Click once the element is there, still and uncovered."""

    async def act(found: Found, timeout_ms: float) -> None:
        node = await clickable(found)
        await node.click(button=action.button, click_count=action.count, timeout=timeout_ms)

    async with scene.answering_dialogs(action.accept_dialog):
        await scene.use(action.target, Purpose.POINT, action.timeout_ms, act)


async def hover(action: schema.Hover, scene: Scene) -> None:
    """Move the pointer over the element, for menus that open by it."""

    async def act(found: Found, timeout_ms: float) -> None:
        await found.node.hover(timeout=timeout_ms)

    await scene.use(action.target, Purpose.POINT, action.timeout_ms, act)


async def press(action: schema.Press, scene: Scene) -> None:
    """Press a key in the element, or where the focus is."""
    if action.target is None:
        try:
            async with scene.settling():
                await scene.page.keyboard.press(action.key)
        except BrowserError as error:
            where = Element(ref="", role="the page", name="")
            raise troubles.explained(error, where, Purpose.TYPE) from error
        return

    async def act(found: Found, timeout_ms: float) -> None:
        await found.node.press(action.key, timeout=timeout_ms)

    await scene.use(action.target, Purpose.POINT, action.timeout_ms, act)


async def scroll(action: schema.Scroll, scene: Scene) -> None:
    """Bring an element into view, or move the page."""
    if action.target is None:
        await scene.page.evaluate(
            """way => {
                 const page = document.scrollingElement, screen = innerHeight * 0.9;
                 if (way === "top") page.scrollTo(0, 0);
                 else if (way === "bottom") page.scrollTo(0, page.scrollHeight);
                 else page.scrollBy(0, way === "up" ? -screen : screen);
               }""",
            action.direction,
        )
        return

    async def act(found: Found, timeout_ms: float) -> None:
        await found.node.scroll_into_view_if_needed(timeout=timeout_ms)

    await scene.use(action.target, Purpose.SEE, action.timeout_ms, act)


async def clickable(found: Found) -> Any:
    """The element itself, or the label that stands for a hidden checkbox."""
    if not found.element.hidden:
        return found.node
    label = await found.node.evaluate_handle("el => el.labels?.[0] ?? el.parentElement ?? el")
    return label.as_element() or found.node
