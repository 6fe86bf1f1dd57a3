"""The page an action happens on, and the ways to find things there and to wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from playwright.async_api import Dialog, ElementHandle, Page, Request
from playwright.async_api import Error as BrowserError

from libs.secrets import Secret
from services.task.domain import Reason, TaskFailure
from services.task.grounding import Purpose, ground
from services.task.ports import Artifact, Codes, Reader, Session
from services.task.schema import Target
from services.task.snapshot import Element, Snapshot, take

from . import troubles

LOOK_AGAIN_S = 0.08
_SPOKEN = ("name", "label", "text", "value")
_ROLES = {"select": "combobox", "textarea": "textbox"}
TIE_PATIENCE_S = 1.0
SURE = 0.9
NAVIGATION_MAY_START_S = 0.03
NAVIGATION_TIMEOUT_S = 30.0


class Clock(Protocol):
    """The part of libs.clock the hands use."""

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


@dataclass
class Scene:
    """One page, its ports, and what this task must never say aloud."""

    page: Page
    session: Session
    codes: Codes
    clock: Clock
    credential_id: str = ""
    action_key: str = ""
    resumed: bool = False
    artifacts: list[Artifact] = field(default_factory=list)
    reader: Reader | None = None
    notes: list[str] = field(default_factory=list)
    _secrets: set[str] = field(default_factory=set, repr=False)
    _dialogs_accepted: bool = False
    _watched: set[Page] = field(default_factory=set, repr=False)

    @property
    def is_lost(self) -> bool:
        """Whether the connection to the page's browser is gone."""
        browser = self.page.context.browser
        return browser is None or not browser.is_connected()

    def hush(self, secret: Secret) -> str:
        """The text of a secret, remembered so that it is struck out of everything recorded."""
        text = secret.reveal()
        if len(text) >= 3:
            self._secrets.add(text)
        return text

    def scrub(self, value: Any) -> Any:
        """`value` without any secret typed so far."""
        if isinstance(value, str):
            for secret in sorted(self._secrets, key=len, reverse=True):
                value = value.replace(secret, "***")
            return value
        if isinstance(value, dict):
            return {self.scrub(key): self.scrub(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.scrub(item) for item in value]
        return value

    async def look(self) -> Snapshot:
        """What is on the page now; a page in the middle of a change is looked at again."""
        for attempt in range(20):
            try:
                return self._without_secrets(await take(self.page))
            except BrowserError as error:
                if attempt == 19 or not troubles.is_passing(error):
                    raise
                await self.clock.sleep(LOOK_AGAIN_S)
        raise AssertionError("unreachable")

    def _without_secrets(self, snapshot: Snapshot) -> Snapshot:
        """A page may show what was typed into it; planners are shown stars."""
        if self._secrets:
            snapshot.elements = [
                replace(e, **{part: self.scrub(getattr(e, part)) for part in _SPOKEN})
                for e in snapshot.elements
            ]
        return snapshot

    async def find(self, target: Target, purpose: Purpose, timeout_s: float) -> Found:
        """The element `target` means, once it appears; failing says what is there instead."""
        start = self.clock.monotonic()
        unsure_of = ""
        while True:
            waited = self.clock.monotonic() - start
            try:
                found, score = await self._find_once(target, purpose)
                if score >= SURE or unsure_of == str(found.element):
                    return found
                unsure_of = str(found.element)
            except TaskFailure as failure:
                tied = failure.reason == Reason.TARGET_AMBIGUOUS and waited > TIE_PATIENCE_S
                if tied or waited + LOOK_AGAIN_S >= timeout_s:
                    raise
            await self.clock.sleep(LOOK_AGAIN_S)

    async def _find_once(self, target: Target, purpose: Purpose) -> tuple[Found, float]:
        if target.selector:
            return await self._by_selector(target), 1.0
        snapshot = await self.look()
        place = f'the page "{snapshot.title}"' if snapshot.title else "the page"
        best = ground(target, snapshot.elements, purpose, place=place)
        try:
            return Found(best.element, await snapshot.handle(best.element)), best.score
        except BrowserError as error:
            raise TaskFailure(
                Reason.TARGET_NOT_FOUND, f"{target} was there for a moment only"
            ) from error

    async def _by_selector(self, target: Target) -> Found:
        assert target.selector
        try:
            nodes = await self.page.query_selector_all(target.selector)
        except BrowserError as error:
            if troubles.is_passing(error):
                raise TaskFailure(Reason.TARGET_NOT_FOUND, "the page was changing") from error
            raise TaskFailure(
                Reason.TARGET_NOT_FOUND, f"{target} is not a selector the browser understands"
            ) from error
        nth = target.nth or 1
        if not nodes or nth > len(nodes):
            raise TaskFailure(
                Reason.TARGET_NOT_FOUND, f"found {len(nodes)} elements for {target} on the page"
            )
        if len(nodes) > 1 and target.nth is None:
            raise TaskFailure(
                Reason.TARGET_AMBIGUOUS, f"{len(nodes)} elements fit {target}; say which with nth"
            )
        node = nodes[nth if nth < 0 else nth - 1]
        return Found(await _describe(node, target), node)

    async def use(
        self,
        target: Target,
        purpose: Purpose,
        timeout_ms: int,
        act: Callable[[Found, float], Awaitable[Any]],
    ) -> Found:
        """Find `target` and act on it; again, when the page replaced it between the two."""
        deadline = self.clock.monotonic() + timeout_ms / 1000
        while True:
            left = max(deadline - self.clock.monotonic(), 0.05)
            found = await self.find(target, purpose, left)
            left_ms = max((deadline - self.clock.monotonic()) * 1000, 50.0)
            try:
                async with self.settling():
                    await act(found, left_ms)
                return found
            except BrowserError as error:
                if not (troubles.is_detached(error) and self.clock.monotonic() < deadline):
                    raise troubles.explained(error, found.element, purpose) from error

    @asynccontextmanager
    async def settling(self) -> AsyncIterator[None]:
        """Let an act happen, and if it opens another page, wait until that can be read."""
        self.listen()
        watch = _Navigation(self.page)
        watch.start()
        try:
            yield
            await self.clock.sleep(NAVIGATION_MAY_START_S)
            if watch.begun:
                await watch.arrive()
        finally:
            watch.stop()

    @asynccontextmanager
    async def answering_dialogs(self, accept: bool) -> AsyncIterator[None]:
        """Say yes or no to what the page asks meanwhile."""
        self.listen()
        self._dialogs_accepted = accept
        try:
            yield
        finally:
            self._dialogs_accepted = False

    def listen(self) -> None:
        """Follow the page: answer its dialogs, which would block it, and go to tabs it opens."""
        if self.page not in self._watched:
            self._watched.add(self.page)
            self.page.on("dialog", self._answer)
            self.page.on("popup", self._follow)
            self.page.on("close", self._return)

    def leave(self) -> None:
        """Stop listening to pages that outlive this task."""
        for page in self._watched:
            page.remove_listener("dialog", self._answer)
            page.remove_listener("popup", self._follow)
            page.remove_listener("close", self._return)
        self._watched.clear()

    def _follow(self, opened: Page) -> None:
        self.page = opened
        self.listen()

    def _return(self, closed: Page) -> None:
        left = [page for page in closed.context.pages if page is not closed]
        if self.page is closed and left:
            self.page = left[-1]

    async def _answer(self, dialog: Dialog) -> None:
        accepted = self._dialogs_accepted or dialog.type == "beforeunload"
        with suppress(BrowserError):
            await (dialog.accept() if accepted else dialog.dismiss())
        verb = "accepted" if accepted else "declined"
        self.notes.append(f'{verb} the {dialog.type} "{dialog.message[:200]}"')


@dataclass(frozen=True)
class Found:
    """A description and the live element it belongs to."""

    element: Element
    node: ElementHandle


class _Navigation:
    """Watches one page for a navigation and for a new tab."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._done = asyncio.Event()
        self.begun = False

    def start(self) -> None:
        self._page.on("request", self._on_request)
        self._page.on("requestfailed", self._on_failed)
        self._page.on("framenavigated", self._on_navigated)

    def stop(self) -> None:
        self._page.remove_listener("request", self._on_request)
        self._page.remove_listener("requestfailed", self._on_failed)
        self._page.remove_listener("framenavigated", self._on_navigated)

    async def arrive(self) -> None:
        """Wait until the new page's content is there."""
        try:
            async with asyncio.timeout(NAVIGATION_TIMEOUT_S):
                await self._done.wait()
                await self._page.wait_for_load_state("domcontentloaded")
        except TimeoutError as error:
            raise TaskFailure(
                Reason.PAGE_NOT_LOADED,
                f"the page that opened did not load within {NAVIGATION_TIMEOUT_S:g} s",
            ) from error

    def _mine(self, request: Request) -> bool:
        if not request.is_navigation_request():
            return False
        with suppress(BrowserError):
            return request.frame == self._page.main_frame
        return False

    def _on_request(self, request: Request) -> None:
        if self._mine(request):
            self.begun = True
            self._done.clear()

    def _on_failed(self, request: Request) -> None:
        if self._mine(request):
            self._done.set()

    def _on_navigated(self, frame: Any) -> None:
        if frame == self._page.main_frame:
            self._done.set()


async def _describe(node: ElementHandle, target: Target) -> Element:
    raw = await node.evaluate(
        """el => ({tag: el.localName, type: el.type || "", text: (el.innerText || "").slice(0, 100),
                   role: el.getAttribute("role") || "", checked: !!el.checked,
                   options: [...(el.options ?? [])].map(o => o.label.trim())})"""
    )
    tag, kind = raw["tag"], raw["type"]
    role: str = raw["role"] or _ROLES.get(tag) or kind or tag
    return Element(
        ref="",
        role=role,
        name=target.selector or "",
        text=raw["text"],
        tag=tag,
        type=kind if tag == "input" else "",
        state={"checked": raw["checked"]} if kind in {"checkbox", "radio"} else {},
        options=tuple(raw["options"]),
    )
