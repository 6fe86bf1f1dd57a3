"""Between the domain and the contract: pure functions."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from libs import errors
from libs.wire import timestamp
from podium.totp.v1 import totp_pb2 as pb
from services.totp.domain import Challenge, Credential, Source, State

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
        create_time=timestamp(stored.created_at),
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
        create_time=timestamp(stored.created_at),
        expire_time=timestamp(stored.expires_at),
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


def moment(field: str, stamp: Timestamp) -> datetime:
    """A moment that came in, or Invalid."""
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise errors.Invalid(field, "is not a moment between the years 1 and 9999") from None
