"""Actions that are carried out in a session's page at once, for a caller who waits for them.

Nothing is written down and nothing is taken up again: whoever asked sees what was done. The wheel
of the session keeps everybody else from acting meanwhile.
"""

from __future__ import annotations

import asyncio

from playwright.async_api import Error as BrowserError
from playwright.async_api import Page

from libs import ids
from services.task import actions
from services.task.acting import troubles
from services.task.acting.scene import Scene
from services.task.domain import (
    ActionRecord,
    ActionState,
    Done,
    Failing,
    Order,
    Phase,
    Reason,
    TaskFailure,
)
from services.task.errand import EXPLICIT, Tools
from services.task.neighbours import Wheel
from services.task.schema import Step

CONNECTING_S = 10.0


class Hands:
    """Carries out orders."""

    def __init__(self, tools: Tools, wheel: Wheel) -> None:
        self._tools = tools
        self._wheel = wheel

    async def perform(self, order: Order) -> Done:
        """The actions one after the other, up to the first that fails."""
        session_id = order.browser_session_id
        for_s = order.timeout_s + CONNECTING_S
        async with (
            self._wheel.held(session_id, order.control_id, for_s) as control_id,
            self._tools.browsers.lent(session_id, control_id) as page,
        ):
            return await self._on(page, order)

    async def _on(self, page: Page, order: Order) -> Done:
        scene = Scene(
            page=page,
            session=self._tools.session(order.browser_session_id),
            codes=self._tools.codes,
            clock=self._tools.clock,
            credential_id=order.credential_id,
            reader=self._tools.reader,
        )
        scene.listen()
        call, records = ids.new("call"), list[ActionRecord]()
        deadline = self._tools.clock.monotonic() + order.timeout_s
        try:
            for number, step in enumerate(actions.parse_all(list(order.actions), "actions"), 1):
                scene.action_key = f"{call}:{number}"
                left_s = max(deadline - self._tools.clock.monotonic(), 0.0)
                records.append(await self._one(scene, step, number, left_s))
                if records[-1].failing is not None:
                    break
            url, title = await _whereabouts(scene)
        finally:
            scene.leave()
        completed = all(record.failing is None for record in records)
        return Done(tuple(records), completed, url, title)

    async def _one(self, scene: Scene, step: Step, number: int, left_s: float) -> ActionRecord:
        clock = self._tools.clock
        started_at, began = clock.now(), clock.monotonic()
        output, failing = None, None
        try:
            async with asyncio.timeout(left_s):
                output = await actions.answer(step, scene)
        except TaskFailure as failure:
            lost = scene.is_lost
            reason = Reason.SESSION_LOST if lost else failure.reason
            failing = Failing(str(reason), scene.scrub(failure.message))
        except TimeoutError:
            failing = Failing(str(Reason.TIMED_OUT), "the actions did not end within their time")
        except BrowserError:
            # The session ended, or the control under which this was done.
            failing = Failing(str(Reason.SESSION_LOST), "the page was lost during the action")
        return ActionRecord(
            number=number,
            kind=step.kind,  # type: ignore[attr-defined]
            params=scene.scrub(actions.recorded(step)),
            phase=Phase.ACTIONS,
            planner=EXPLICIT,
            state=ActionState.FAILED if failing else ActionState.COMPLETED,
            started_at=started_at,
            duration_ms=round((clock.monotonic() - began) * 1000),
            output=output,
            failing=failing,
        )


async def _whereabouts(scene: Scene) -> tuple[str, str]:
    """Where the page is; nowhere when it is lost or says nothing."""
    try:
        async with asyncio.timeout(CONNECTING_S):
            return troubles.shown(scene.page.url), scene.scrub(await scene.page.title())
    except (BrowserError, TimeoutError):
        return "", ""
