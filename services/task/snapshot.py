"""What is on the page now: one injected pass per frame, as data for grounding and planners."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import ElementHandle, Frame, JSHandle, Page
from playwright.async_api import Error as BrowserError

_SCRIPT = (Path(__file__).parent / "page.js").read_text()
MAX_ELEMENTS = 3_000
MAX_FRAMES = 12


@dataclass(frozen=True)
class Element:
    """One element as a person would describe it."""

    ref: str
    role: str
    name: str
    label: str = ""
    text: str = ""
    placeholder: str = ""
    value: str = ""
    tag: str = ""
    type: str = ""
    autocomplete: str = ""
    id: str = ""
    field_name: str = ""
    max_length: int = 0
    test_id: str = ""
    state: dict[str, bool] = field(default_factory=dict)
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    hidden: bool = False
    in_widget: bool = False
    options: tuple[str, ...] = ()
    href: str = ""

    def __str__(self) -> str:
        words = self.name or self.label or self.placeholder or self.text or self.field_name
        return f'{self.role} "{words[:60]}"' if words else self.role


@dataclass
class Snapshot:
    """All elements of a page at one moment, and the way back to the real ones."""

    url: str
    title: str
    elements: list[Element]
    _handles: list[JSHandle] = field(default_factory=list, repr=False)

    @property
    def mark(self) -> str:
        """A fingerprint that changes when what a person sees changes."""
        seen = [
            (e.role, e.name, e.value, e.text, sorted(e.state.items() - {("focused", True)}))
            for e in self.elements
        ]
        return hashlib.sha256(repr((self.url, seen)).encode()).hexdigest()[:16]

    async def handle(self, element: Element) -> ElementHandle:
        """The live element behind a description."""
        frame, _, index = element.ref[1:].partition("e")
        found = await self._handles[int(frame or 0)].evaluate_handle(
            "(page, index) => page.nodes[index]", int(index)
        )
        node = found.as_element()
        if node is None:
            raise BrowserError("element is gone")
        return node


async def take(page: Page) -> Snapshot:
    """Read the page. Frames that navigate away meanwhile are left out."""
    frames = page.frames[:MAX_FRAMES]
    read = await asyncio.gather(*(_read(frame) for frame in frames), return_exceptions=True)
    if isinstance(read[0], BaseException):
        raise read[0]
    elements: list[Element] = []
    handles: list[JSHandle] = []
    for result in read:
        if isinstance(result, BaseException):
            continue
        prefix = f"f{len(handles)}e"
        handles.append(result[0])
        elements += [_element(f"{prefix}{i}", raw) for i, raw in enumerate(result[1])]
    return Snapshot(url=page.url, title=await page.title(), elements=elements, _handles=handles)


async def _read(frame: Frame) -> tuple[JSHandle, list[dict[str, Any]]]:
    handle = await frame.evaluate_handle(_SCRIPT, MAX_ELEMENTS)
    return handle, await handle.evaluate("page => page.elements")


def _element(ref: str, raw: dict[str, Any]) -> Element:
    raw["box"] = tuple(raw["box"])
    raw["options"] = tuple(raw["options"])
    return Element(ref=ref, **raw)
