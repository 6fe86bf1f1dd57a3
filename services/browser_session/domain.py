"""What a browser session is: states, limits, who is next in line, what a file may be called.

Pure: no clock, no disk, no database.
"""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from libs import errors
from services.browser_session.egress.policy import Egress
from services.browser_session.presence import Presence


class State(StrEnum):
    """How far a session is."""

    QUEUED = "queued"
    PROVISIONING = "provisioning"
    READY = "ready"
    OCCUPIED = "occupied"
    CLOSED = "closed"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    # Never stored: shown while an ended session's processes are on their way out.
    DRAINING = "draining"


ENDED_IN_TIME = frozenset({State.CLOSED, State.TIMED_OUT})
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.PROVISIONING, State.CRASHED} | ENDED_IN_TIME),
    State.PROVISIONING: frozenset(
        # To itself when the replica that was starting the browser died, too.
        {State.PROVISIONING}
        | {State.READY, State.OCCUPIED, State.FAILED, State.CRASHED}
        | ENDED_IN_TIME
    ),
    State.READY: frozenset({State.OCCUPIED, State.PROVISIONING, State.CRASHED} | ENDED_IN_TIME),
    State.OCCUPIED: frozenset({State.READY, State.PROVISIONING, State.CRASHED} | ENDED_IN_TIME),
    State.CLOSED: frozenset(),
    State.FAILED: frozenset(),
    State.CRASHED: frozenset(),
    State.TIMED_OUT: frozenset(),
    State.DRAINING: frozenset(),
}
LIVE = frozenset(state for state, following in TRANSITIONS.items() if following)
USABLE = frozenset({State.READY, State.OCCUPIED})


def sources(target: State) -> frozenset[State]:
    """The states from which a session may go to `target`."""
    return frozenset(state for state, following in TRANSITIONS.items() if target in following)


class Reason(StrEnum):
    """Why a session ended, or lost its browser."""

    REQUESTED = "requested"
    RELEASED = "released"
    IDLE = "idle"
    MAX_LIFE = "max_life"
    FIRST_CONNECT = "first_connect"
    QUEUE_TIMEOUT = "queue_timeout"
    RECYCLED = "recycled"
    MEMORY = "memory"
    START_FAILED = "start_failed"
    BROWSER_CRASHED = "browser_crashed"
    REPLICA_DIED = "replica_died"
    REPLICA_STOPPED = "replica_stopped"


DEFAULT_VIEWPORT = (1280, 720)
VIEWPORT_LIMITS = (200, 4096)
DEFAULT_MAX_LIFE = timedelta(hours=1)
LONGEST_MAX_LIFE = timedelta(hours=4)
DEFAULT_IDLE_TIMEOUT = timedelta(minutes=10)
LONGEST_IDLE_TIMEOUT = timedelta(hours=1)
DEFAULT_FIRST_CONNECT = timedelta(minutes=5)
LONGEST_FIRST_CONNECT = timedelta(hours=1)
SPAN_LIMITS = {
    "max_life": (DEFAULT_MAX_LIFE, LONGEST_MAX_LIFE),
    "idle_timeout": (DEFAULT_IDLE_TIMEOUT, LONGEST_IDLE_TIMEOUT),
    "first_connect_timeout": (DEFAULT_FIRST_CONNECT, LONGEST_FIRST_CONNECT),
}
LOCALE = re.compile(r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")


@dataclass(frozen=True)
class Options:
    """How a browser presents itself and how long it may live."""

    viewport_width: int = DEFAULT_VIEWPORT[0]
    viewport_height: int = DEFAULT_VIEWPORT[1]
    locale: str = ""
    max_life: timedelta = DEFAULT_MAX_LIFE
    idle_timeout: timedelta = DEFAULT_IDLE_TIMEOUT
    first_connect_timeout: timedelta = DEFAULT_FIRST_CONNECT
    presence: Presence = field(default_factory=Presence)
    egress: Egress = field(default_factory=Egress)
    proxy_server: str = ""
    proxy_username: str = ""
    profile_id: str = ""
    profile_version: int = 0
    save_profile: bool = False


def checked_options(
    width: int,
    height: int,
    locale: str,
    max_life: timedelta | None,
    idle_timeout: timedelta | None,
    first_connect_timeout: timedelta | None = None,
    also_wrong: Sequence[tuple[str, str]] = (),
) -> tuple[Options, list[str]]:
    """The options to use, and what was changed about the request; raises Invalid for nonsense."""
    spans = {
        "max_life": max_life,
        "idle_timeout": idle_timeout,
        "first_connect_timeout": first_connect_timeout,
    }
    wrong = _wrong_look(width, height, locale)
    wrong += [
        (f"options.{name}", "must be longer than nothing")
        for name, span in spans.items()
        if span is not None and span <= timedelta(0)
    ]
    wrong += also_wrong
    if wrong:
        raise errors.Invalid.many(wrong)
    warnings: list[str] = []
    life, idle, first = (
        _clamped(name, span or SPAN_LIMITS[name][0], SPAN_LIMITS[name][1], warnings)
        for name, span in spans.items()
    )
    wide, high = width or DEFAULT_VIEWPORT[0], height or DEFAULT_VIEWPORT[1]
    return Options(wide, high, locale, life, idle, first), warnings


def _wrong_look(width: int, height: int, locale: str) -> list[tuple[str, str]]:
    low, high = VIEWPORT_LIMITS
    wrong = [
        (f"options.viewport_{name}", f"must be 0 or between {low} and {high}")
        for name, value in (("width", width), ("height", height))
        if value and not low <= value <= high
    ]
    if locale and not LOCALE.match(locale):
        wrong.append(("options.locale", 'must be a language tag such as "en-US"'))
    return wrong


def _clamped(name: str, asked: timedelta, longest: timedelta, warnings: list[str]) -> timedelta:
    if asked <= longest:
        return asked
    seconds = int(longest.total_seconds())
    warnings.append(f"options.{name} was shortened to the longest allowed, {seconds} s")
    return longest


@dataclass(frozen=True)
class Session:
    """One session as it stands in the store."""

    session_id: str
    organization_id: str
    state: State
    options: Options
    warnings: tuple[str, ...]
    created_at: datetime
    owner: str
    request_id: str = ""
    run_id: str = ""
    made_for_run: bool = False
    fence: int = 0
    generation: int = 1
    cdp_url: str = ""
    cdp_key: bytes = b""
    sealed_options: bytes = b""
    has_process: bool = False
    close_reason: str = ""
    ready_at: datetime | None = None
    ended_at: datetime | None = None
    active_at: datetime | None = None
    queue_until: datetime | None = None
    reuse_key: str = ""
    jobs: int = 0

    @property
    def shown_state(self) -> State:
        """The state that callers see."""
        return State.DRAINING if self.has_process and self.state in ENDED_IN_TIME else self.state

    @property
    def expires_at(self) -> datetime:
        """When its life is over, whatever it does."""
        return (self.ready_at or self.created_at) + self.options.max_life


def overdue(session: Session, now: datetime) -> Reason | None:
    """Why the session must end now, if it must.

    A session given to a run is not idle: the run may be waiting for a code for a long time. One
    that waits for another browser grows old as well.
    """
    if session.state not in LIVE or session.ready_at is None:
        return None
    if now >= session.expires_at:
        return Reason.MAX_LIFE
    if session.state is State.OCCUPIED or session.run_id:
        return None
    used_at = session.active_at or session.ready_at
    first = session.options.first_connect_timeout
    if used_at == session.ready_at and now >= used_at + first:
        return Reason.FIRST_CONNECT
    return Reason.IDLE if now >= used_at + session.options.idle_timeout else None


def extended(session: Session, life: timedelta, now: datetime) -> tuple[Options, list[str]]:
    """The options under which the session lives at least this long from now, and warnings."""
    born = session.ready_at or session.created_at
    warnings: list[str] = []
    whole = _clamped("max_life", now - born + life, LONGEST_MAX_LIFE, warnings)
    return replace(session.options, max_life=max(whole, session.options.max_life)), warnings


@dataclass(frozen=True)
class Wear:
    """How much a session that runs share may serve before it is replaced."""

    most_jobs: int
    oldest: timedelta


def worn_out(session: Session, now: datetime, wear: Wear) -> bool:
    """Whether a session that runs share has served enough of them, or is too old for another."""
    born = session.ready_at or session.created_at
    return session.jobs >= wear.most_jobs or now - born >= wear.oldest


def may_recover(session: Session, now: datetime, most: int) -> bool:
    """Whether a session that lost its browser gets another one under the same id.

    One that never had a browser is asked for again by whoever wanted it. A page that kills every
    browser must not go on for ever, so each session gets another one `most` times.
    """
    alive = session.state in LIVE and session.ready_at is not None
    return alive and session.generation <= most and overdue(session, now) is None


def check_usable(session: Session, run_id: str = "") -> None:
    """Raises FailedPrecondition unless the session has a browser and is not another run's."""
    if session.state not in LIVE:
        why = session.close_reason or session.state
        raise errors.FailedPrecondition(
            f"browser session {session.session_id} has ended ({why})", reason="SESSION_ENDED"
        )
    if session.state not in USABLE:
        raise errors.FailedPrecondition(
            f"browser session {session.session_id} is {session.state}", reason="SESSION_NOT_READY"
        )
    if run_id and session.run_id != run_id:
        raise errors.FailedPrecondition(
            f"browser session {session.session_id} is not given to {run_id}",
            reason="SESSION_NOT_YOURS",
        )


@dataclass(frozen=True)
class Waiting:
    """A session that waits for room."""

    session_id: str
    organization_id: str
    created_at: datetime


def next_in_line(waiting: Iterable[Waiting], running: Mapping[str, int]) -> str:
    """Who gets the next free place: the organisation with the fewest browsers, then the oldest.

    One organisation with a hundred requests thus delays another by one place, not by a hundred.
    """
    first = min(
        waiting,
        key=lambda one: (running.get(one.organization_id, 0), one.created_at, one.session_id),
        default=None,
    )
    return first.session_id if first else ""


def place_in_line(waiting: Iterable[Waiting], running: Mapping[str, int], session_id: str) -> int:
    """How many get a place until this one has its own, itself included; 0 if it does not wait."""
    left = {one.session_id: one for one in waiting}
    counts = dict(running)
    for place in range(1, len(left) + 1):
        first = left.pop(next_in_line(left.values(), counts))
        if first.session_id == session_id:
            return place
        counts[first.organization_id] = counts.get(first.organization_id, 0) + 1
    return 0


class Kind(StrEnum):
    """What sort of file an artifact is."""

    SCREENSHOT = "screenshot"
    DOWNLOAD = "download"
    PDF = "pdf"
    UPLOAD = "upload"
    CONSOLE = "console"
    HAR = "har"
    RECORDING = "recording"


@dataclass(frozen=True)
class Artifact:
    """A file that came out of a session."""

    artifact_id: str
    organization_id: str
    session_id: str
    run_id: str
    kind: Kind
    name: str
    content_type: str
    size_bytes: int
    sha256: str
    position: int
    created_at: datetime
    expires_at: datetime | None = None


NAME_LIMIT = 150
UNSAFE_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')


def safe_name(suggested: str, fallback: str) -> str:
    """A display name without path, control or bidirectional characters, at most 150 long."""
    name = unicodedata.normalize("NFC", suggested).replace("\\", "/").rpartition("/")[2]
    name = "".join(char for char in name if unicodedata.category(char) not in {"Cf", "Cs", "Co"})
    name = UNSAFE_IN_NAMES.sub("_", name).strip(" .")
    if not name:
        return fallback
    if len(name) <= NAME_LIMIT:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 16:
        return name[:NAME_LIMIT]
    return f"{stem[: NAME_LIMIT - len(ending) - 1]}.{ending}"


def content_type_of(name: str) -> str:
    """The media type a file name promises."""
    guessed, encoding = mimetypes.guess_type(name, strict=False)
    if encoding:
        return {"gzip": "application/gzip"}.get(encoding, "application/octet-stream")
    return guessed or "application/octet-stream"
