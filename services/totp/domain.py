"""Credentials, challenges and messages: their states and rules."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from libs import errors

LONGEST_NAME = 128
LONGEST_TEXT = 256
LONGEST_SECRET = 4096
LARGEST_CONTENT_BYTES = 512 * 1024
LOOK_BACK = timedelta(minutes=10)
EARLY = timedelta(minutes=1)
MESSAGE_LIFE = timedelta(minutes=15)
DEFAULT_TIMEOUT = timedelta(minutes=15)
LONGEST_TIMEOUT = timedelta(hours=1)
# Sites lock accounts after a few wrong codes.
MOST_REJECTED = 3
LONGEST_REDACTED = 4000
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
    # The site refused the code: the challenge waits for the next one.
    State.CLAIMED: frozenset({State.WAITING}),
    State.EXPIRED: frozenset(),
    State.CANCELED: frozenset(),
}


def sources_of(state: State) -> list[State]:
    """The states from which one may come into this state."""
    return [source for source, targets in TRANSITIONS.items() if state in targets]


OPEN = [State.WAITING, State.AVAILABLE]


class Source(StrEnum):
    """How a message came in."""

    API = "api"
    EMAIL = "email"
    SMS = "sms"
    MANUAL = "manual"
    PULL = "pull"


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
    rotated_at: datetime
    folder: str = ""
    version: int = 1


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
    # Hosts whose sign-in links it takes in place of a code.
    link_hosts: list[str] = field(default_factory=list)
    rejected: int = 0
    # How long each of its codes may take to come.
    patience_s: float = 0.0

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
    # Host of the sign-in link, when it holds one and no code.
    link_host: str = ""
    # Tells one e-mail that came in by two ways; empty when it has no name of its own.
    external_id: str = ""
    claimed_by: str = ""

    @property
    def serves(self) -> bool:
        """Whether there is something in it that a challenge may take."""
        return self.sure or bool(self.link_host)


class Security(StrEnum):
    """How a connection to a mail server is made safe."""

    TLS = "tls"
    STARTTLS = "starttls"
    PLAIN = "plain"


@dataclass(frozen=True)
class MailTarget:
    """An IMAP mailbox, without its password."""

    host: str
    port: int
    security: Security
    username: str
    folder: str


@dataclass(frozen=True)
class PullTarget:
    """A URL that is asked."""

    url: str


class SourceState(StrEnum):
    """How a source of codes fares."""

    STARTING = "starting"
    WATCHING = "watching"
    FAILING = "failing"


@dataclass(frozen=True)
class CodeSource:
    """A place where codes are fetched from, without its secret."""

    source_id: str
    organization_id: str
    name: str
    identifier: str
    target: MailTarget | PullTarget
    created_at: datetime
    state: SourceState = SourceState.STARTING
    failure: str = ""
    place: dict[str, int] | None = None
    received_at: datetime | None = None


def mail_target(host: str, port: int, security: Security, username: str, folder: str) -> MailTarget:
    """A mailbox, or Invalid."""
    host = host.strip().lower()
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.:-]{0,251}[a-z0-9])?", host):
        raise errors.Invalid("mailbox.host", 'must be a host such as "imap.acme.example"')
    if not 0 <= port <= 65535:
        raise errors.Invalid("mailbox.port", "must be 1 to 65535, or 0 for the usual one")
    if not username:
        raise errors.Invalid("mailbox.username", "is required")
    return MailTarget(
        host=host,
        port=port or (993 if security is Security.TLS else 143),
        security=security,
        username=checked_text("mailbox.username", username, LONGEST_TEXT),
        folder=checked_text("mailbox.folder", folder or "INBOX", LONGEST_TEXT),
    )


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


def checked_name(name: str, prefix: str = "cred") -> str:
    """The name of a credential or a source, or Invalid."""
    name = name.strip()
    if not name:
        raise errors.Invalid("name", "is required")
    if name.startswith(f"{prefix}_"):
        raise errors.Invalid("name", f'must not begin with "{prefix}_", as ids do')
    return checked_text("name", name, LONGEST_NAME)


def checked_folder(folder: str) -> str:
    """A folder such as "finance/banks", or Invalid; empty for none."""
    folder = folder.strip().strip("/")
    checked_text("folder", folder, LONGEST_NAME)
    if any(not part.strip() for part in folder.split("/")) and folder:
        raise errors.Invalid("folder", "must not have empty parts")
    return folder


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


def typed_code(content: str) -> str:
    """The code that a person typed for one login: a single word; empty when it is none."""
    word = content.strip()
    return word if re.fullmatch(r"\S{1,64}", word) and "://" not in word else ""


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


def extended(challenge: Challenge, now: datetime) -> datetime:
    """Until when a challenge waits for the next code: as long as it was to wait for the first."""
    return max(challenge.expires_at, now + timedelta(seconds=challenge.patience_s))


def check_rejectable(challenge: Challenge) -> None:
    """Raises when this challenge cannot have another code."""
    if challenge.state is not State.CLAIMED:
        raise errors.FailedPrecondition(
            "no code of this challenge was claimed", reason="CODE_NOT_CLAIMED"
        )
    if challenge.rejected + 1 >= MOST_REJECTED:
        raise errors.FailedPrecondition(
            f"the site refused {MOST_REJECTED} codes; one more may lock the account",
            reason="CODES_REJECTED",
        )


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
