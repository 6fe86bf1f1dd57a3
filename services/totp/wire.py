"""Between the domain and the contract: pure functions."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from libs import errors
from podium.totp.v1 import totp_pb2 as pb
from services.totp.domain import Challenge, Credential, Source, State

DEFAULT_PAGE = 50
LARGEST_PAGE = 200
STATES = {
    State.WAITING: pb.CHALLENGE_STATE_WAITING,
    State.AVAILABLE: pb.CHALLENGE_STATE_AVAILABLE,
    State.CLAIMED: pb.CHALLENGE_STATE_CLAIMED,
    State.EXPIRED: pb.CHALLENGE_STATE_EXPIRED,
    State.CANCELED: pb.CHALLENGE_STATE_CANCELED,
}
STATES_BY_NUMBER: dict[int, State] = {int(number): state for state, number in STATES.items()}
SOURCES: dict[int, Source] = {
    int(pb.MESSAGE_SOURCE_UNSPECIFIED): Source.API,
    int(pb.MESSAGE_SOURCE_API): Source.API,
    int(pb.MESSAGE_SOURCE_EMAIL): Source.EMAIL,
    int(pb.MESSAGE_SOURCE_SMS): Source.SMS,
    int(pb.MESSAGE_SOURCE_MANUAL): Source.MANUAL,
}


def credential(stored: Credential) -> pb.Credential:
    """A credential as everybody may see it."""
    return pb.Credential(
        credential_id=stored.credential_id,
        name=stored.name,
        username=stored.username,
        has_password=stored.has_password,
        has_totp_seed=stored.has_seed,
        totp_identifier=stored.identifier,
        create_time=time(stored.created_at),
    )


def challenge(stored: Challenge) -> pb.Challenge:
    """A challenge as everybody may see it."""
    return pb.Challenge(
        challenge_id=stored.challenge_id,
        state=STATES[stored.state],
        run_id=stored.run_id,
        task_id=stored.task_id,
        credential_id=stored.credential_id,
        identifier=stored.identifier,
        create_time=time(stored.created_at),
        expire_time=time(stored.expires_at),
    )


def source(number: int) -> Source:
    """Where a message came from."""
    if number not in SOURCES:
        raise errors.Invalid("source", "is not one of the message sources")
    return SOURCES[number]


def state(number: int) -> State | None:
    """The state asked for; None for all."""
    if number and number not in STATES_BY_NUMBER:
        raise errors.Invalid("state", "is not one of the challenge states")
    return STATES_BY_NUMBER.get(number)


def time(moment: datetime | None) -> Timestamp | None:
    """A moment; unset when there is none."""
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def moment(field: str, stamp: Timestamp) -> datetime:
    """A moment that came in, or Invalid."""
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise errors.Invalid(field, "is not a moment between the years 1 and 9999") from None


def span(field: str, duration: Duration) -> timedelta:
    """A length of time that came in, or Invalid."""
    try:
        return duration.ToTimedelta()
    except (ValueError, OverflowError):
        raise errors.Invalid(field, "is not a length of time") from None


def page_size(asked: int) -> int:
    """How many to answer."""
    if asked < 0:
        raise errors.Invalid("page_size", "must not be negative")
    return min(asked or DEFAULT_PAGE, LARGEST_PAGE)


def page_token(last: str) -> str:
    """A token that goes on after this key."""
    return base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


def page_key(token: str) -> str:
    """The key a token goes on after; empty for the first page."""
    try:
        padded = token + "=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise errors.Invalid("page_token", "was not made by this list") from None
