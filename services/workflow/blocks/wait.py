"""wait: lets time pass. The end is a moment on disk, so a restart does not begin it anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from .contract import OR_TEMPLATE, Block, BlockContext, Outcome, Params, Planning

MAX_WAIT_S = 30 * 24 * 3600.0


def _is_moment(value: str) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError('must be a moment such as "2026-05-01T08:00:00Z"') from None
    if moment.tzinfo is None:
        raise ValueError('must have a time zone, such as "2026-05-01T08:00:00Z"')
    return value


Moment = Annotated[str, AfterValidator(_is_moment), OR_TEMPLATE]
Seconds = Annotated[float, Field(ge=0, le=MAX_WAIT_S, allow_inf_nan=False), OR_TEMPLATE]


class WaitParams(Params):
    """Parameters of wait: for how long, or until when."""

    seconds: Seconds | None = None
    until: Moment | None = None

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.seconds is None) == (self.until is None):
            raise ValueError("needs either seconds or until")
        return self


class Wait(Block):
    """Lets time pass."""

    kind = "wait"
    summary = "Waits for a number of seconds, or until a moment; at most 30 days."
    Params = WaitParams
    resumes_itself = True
    default_timeout_s = MAX_WAIT_S + 60

    def plan(self, params: WaitParams, planning: Planning) -> str:
        """The moment at which the wait is over."""
        if params.until is not None:
            latest = planning.now + timedelta(seconds=MAX_WAIT_S)
            return min(datetime.fromisoformat(params.until), latest).astimezone(UTC).isoformat()
        return (planning.now + timedelta(seconds=params.seconds or 0)).isoformat()

    async def run(self, _params: WaitParams, context: BlockContext) -> Outcome:
        """Wait until the recorded moment."""
        await context.pause_until(datetime.fromisoformat(context.plan))
        return Outcome({"until": context.plan}, f"waited until {context.plan}")
