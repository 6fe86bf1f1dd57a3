"""Rights: what the bearer of a link may do with one session or one file. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from libs import errors
from services.browser_session.domain import LIVE, Session, State, check_usable


class Right(StrEnum):
    """What a link is good for."""

    DRIVE = "drive"
    """Everything a driver may do, until the session is given to somebody else."""
    VIEW = "view"
    """Look at it, whoever has it."""
    STEER = "steer"
    """Look at it, and act in the page like a person while holding its wheel."""
    CALL = "call"
    """A call of this service itself."""
    AGENT = "agent"
    """The run that holds the session."""
    FILE = "file"
    """Fetch one artifact."""


LOOKING = frozenset(
    {
        "Browser.getVersion",
        "Page.captureScreenshot",
        "Page.disable",
        "Page.enable",
        "Page.getFrameTree",
        "Page.getLayoutMetrics",
        "Page.getNavigationHistory",
        "Page.screencastFrameAck",
        "Page.startScreencast",
        "Page.stopScreencast",
        "Podium.activePage",
        "Target.attachToTarget",
        "Target.detachFromTarget",
        "Target.getTargetInfo",
        "Target.getTargets",
        "Target.setDiscoverTargets",
    }
)
"""What shows a page as a person would see it: no cookies, no values of fields, no scripts."""
HANDS = frozenset(
    {
        "Input.dispatchKeyEvent",
        "Input.dispatchMouseEvent",
        "Input.insertText",
        "Page.bringToFront",
        "Page.handleJavaScriptDialog",
        "Page.navigate",
        "Page.navigateToHistoryEntry",
        "Page.reload",
    }
)
"""What a person can do with keyboard, mouse and the buttons around a page."""
ALLOWED: dict[Right, frozenset[str]] = {Right.VIEW: LOOKING, Right.STEER: LOOKING | HANDS}
"""The commands of those who may not say everything."""


@dataclass(frozen=True)
class Leave:
    """What the door to a browser grants one connection."""

    right: Right
    fence: int | None = None
    """The lease it came with; None: it outlives leases."""
    control_id: str = ""
    """The wheel it holds; it ends with that."""
    expires_at: datetime | None = None
    link_id: str = ""
    """The link it came with, which may be revoked; empty for what is no link."""
    series: int = 0
    """Which of the session's series that link is of."""

    def left_s(self, now: datetime) -> float | None:
        """Seconds until it is over; None when it ends otherwise."""
        return None if self.expires_at is None else (self.expires_at - now).total_seconds()

    @property
    def only(self) -> frozenset[str] | None:
        """The commands it may use; None for all that any driver may."""
        return ALLOWED.get(self.right)


def check_may_act(session: Session, holds_wheel: bool) -> None:
    """Raises FailedPrecondition unless somebody outside may act in the session's pages now."""
    check_usable(session)
    if session.state is State.OCCUPIED and not holds_wheel:
        raise errors.FailedPrecondition(
            f"browser session {session.session_id} is given to {session.run_id}; take its control",
            reason="SESSION_OCCUPIED",
        )


def check_live(session: Session) -> None:
    """Raises FailedPrecondition when the session has ended."""
    if session.state not in LIVE:
        check_usable(session)
