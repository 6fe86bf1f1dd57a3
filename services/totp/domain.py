"""Credentials, challenges and messages: their states and rules."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from libs import errors

LONGEST_NAME = 128
LONGEST_TEXT = 256
LONGEST_SECRET = 4096
LARGEST_CONTENT_BYTES = 64 * 1024
LOOK_BACK = timedelta(minutes=10)
EARLY = timedelta(minutes=1)
MESSAGE_LIFE = timedelta(minutes=15)
DEFAULT_TIMEOUT = timedelta(minutes=15)
LONGEST_TIMEOUT = timedelta(hours=1)
# With less of the window left than this the page may see the code too late.
FRESH = timedelta(seconds=5)


class State(StrEnum):
    """States of a challenge."""

    WAITING = "waiting"
    AVAILABLE = "available"
    CLAIMED = "claimed"
    EXPIRED = "expired"
    CANCELED = "canceled"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.WAITING: frozenset({State.AVAILABLE, State.EXPIRED, State.CANCELED}),
    State.AVAILABLE: frozenset({State.CLAIMED, State.EXPIRED, State.CANCELED}),
    State.CLAIMED: frozenset(),
    State.EXPIRED: frozenset(),
    State.CANCELED: frozenset(),
}


def sources_of(state: State) -> list[State]:
    """The states from which one may come into this state."""
    return [source for source, targets in TRANSITIONS.items() if state in targets]


OPEN = [state for state, targets in TRANSITIONS.items() if targets]


class Source(StrEnum):
    """How a message came in."""

    API = "api"
    EMAIL = "email"
    SMS = "sms"
    MANUAL = "manual"


@dataclass(frozen=True)
class Credential:
    """A credential without its secrets."""

    credential_id: str
    organization_id: str
    name: str
    username: str
    identifier: str
    has_password: bool
    has_seed: bool
    created_at: datetime


@dataclass(frozen=True)
class Challenge:
    """A wait for one code."""

    challenge_id: str
    organization_id: str
    state: State
    request_id: str
    credential_id: str
    identifier: str
    run_id: str
    task_id: str
    not_before: datetime
    created_at: datetime
    expires_at: datetime
    # The code is made from the credential's seed; otherwise it comes in a message.
    generated: bool = False
    message_id: str = ""
    step: int | None = None
    valid_until: datetime | None = None

    def seen_at(self, now: datetime) -> Challenge:
        """The challenge as it truly is at this moment, whether or not its timer has fired."""
        overdue = self.state in OPEN and self.expires_at <= now
        return replace(self, state=State.EXPIRED) if overdue else self


@dataclass(frozen=True)
class Message:
    """A received code and whom it may serve; the code itself stays in the store."""

    message_id: str
    organization_id: str
    identifier: str
    run_id: str
    challenge_id: str
    source: Source
    sure: bool
    candidates: int
    received_at: datetime
    expires_at: datetime


def normalised_identifier(field: str, text: str) -> str:
    """One spelling for each e-mail address and phone number; other names are case-folded."""
    text = unicodedata.normalize("NFKC", text).strip()
    if len(text) > LONGEST_TEXT:
        raise errors.Invalid(field, f"must be at most {LONGEST_TEXT} characters")
    if any(not c.isprintable() for c in text):
        raise errors.Invalid(field, "must not hold control characters")
    bracketed = re.fullmatch(r"[^<>]*<([^<>\s]+@[^<>\s]+)>", text)
    if bracketed:
        text = bracketed.group(1)
    if re.fullmatch(r"\+?[\d\s().\-/]{5,}", text):
        digits = re.sub(r"\D", "", text)
        international = text.startswith(("+", "00"))
        return "+" + digits.removeprefix("00") if international else digits
    return text.casefold()


def checked_name(name: str) -> str:
    """The name of a credential, or Invalid."""
    name = name.strip()
    if not name:
        raise errors.Invalid("name", "is required")
    if name.startswith("cred_"):
        raise errors.Invalid("name", 'must not begin with "cred_", as ids do')
    return checked_text("name", name, LONGEST_NAME)


def checked_text(field: str, text: str, longest: int) -> str:
    """The text, or Invalid without repeating it: it may be a secret."""
    if len(text) > longest:
        raise errors.Invalid(field, f"must be at most {longest} characters")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise errors.Invalid(field, "must not hold control characters")
    return text


def checked_content(content: str) -> str:
    """The content of a message, or Invalid."""
    if not content.strip():
        raise errors.Invalid("content", "is required")
    if len(content.encode("utf-8", "replace")) > LARGEST_CONTENT_BYTES:
        raise errors.Invalid("content", f"must be at most {LARGEST_CONTENT_BYTES} bytes")
    return content


def opening_times(
    now: datetime, not_before: datetime | None, timeout: timedelta | None
) -> tuple[datetime, datetime]:
    """From when codes count and until when the challenge waits."""
    timeout = DEFAULT_TIMEOUT if timeout is None else timeout
    if not timedelta() < timeout <= LONGEST_TIMEOUT:
        seconds = int(LONGEST_TIMEOUT.total_seconds())
        raise errors.Invalid("timeout", f"must be more than 0 and at most {seconds} s")
    wanted = now - EARLY if not_before is None else not_before
    return max(wanted, now - LOOK_BACK), now + timeout


def refusal(challenge: Challenge) -> errors.FailedPrecondition:
    """Why a closed challenge has no code to give."""
    if challenge.state is State.EXPIRED:
        return errors.FailedPrecondition(
            "no code came before the challenge expired", reason="CHALLENGE_EXPIRED"
        )
    if challenge.state is State.CANCELED:
        return errors.FailedPrecondition(
            "the challenge was canceled, as its run or its credential has ended",
            reason="CHALLENGE_CANCELED",
        )
    return errors.FailedPrecondition(
        "the code was claimed and is no longer good; open a new challenge", reason="CODE_EXPIRED"
    )


@dataclass(frozen=True)
class Window:
    """One time step of a seed, as it stands now."""

    step: int
    ends_at: datetime
    fresh: bool


def window_at(now: datetime, period_s: int) -> Window:
    """The current time step, and whether enough of it is left to type a code."""
    step = int(now.timestamp() // period_s)
    ends_at = datetime.fromtimestamp((step + 1) * period_s, tz=now.tzinfo)
    needed = min(FRESH, timedelta(seconds=period_s / 3))
    return Window(step, ends_at, ends_at - now >= needed)
