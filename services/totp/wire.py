"""Between the domain and the contract: pure functions."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from libs import errors
from libs.wire import timestamp
from podium.totp.v1 import totp_pb2 as pb
from services.totp.domain import (
    Challenge,
    CodeSource,
    Credential,
    Message,
    PullTarget,
    Security,
    Source,
    SourceState,
    State,
)

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
SOURCE_NUMBERS = {
    Source.API: pb.MESSAGE_SOURCE_API,
    Source.EMAIL: pb.MESSAGE_SOURCE_EMAIL,
    Source.SMS: pb.MESSAGE_SOURCE_SMS,
    Source.MANUAL: pb.MESSAGE_SOURCE_MANUAL,
    Source.PULL: pb.MESSAGE_SOURCE_PULL,
}

SOURCE_STATES = {
    SourceState.STARTING: pb.SOURCE_STATE_STARTING,
    SourceState.WATCHING: pb.SOURCE_STATE_WATCHING,
    SourceState.FAILING: pb.SOURCE_STATE_FAILING,
}
SECURITY_NUMBERS = {
    Security.TLS: pb.MAIL_SECURITY_TLS,
    Security.STARTTLS: pb.MAIL_SECURITY_STARTTLS,
    Security.PLAIN: pb.MAIL_SECURITY_PLAIN,
}
SECURITIES: dict[int, Security] = {
    int(pb.MAIL_SECURITY_UNSPECIFIED): Security.TLS,
    **{int(number): security for security, number in SECURITY_NUMBERS.items()},
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
        folder=stored.folder,
        version=stored.version,
        rotate_time=timestamp(stored.rotated_at),
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
        link_hosts=stored.link_hosts,
        rejected_count=stored.rejected,
    )


def message(stored: Message, redacted: str) -> pb.Message:
    """A message as everybody may see it."""
    return pb.Message(
        message_id=stored.message_id,
        state=message_state(stored),
        source=SOURCE_NUMBERS[stored.source],
        identifier=stored.identifier,
        run_id=stored.run_id,
        challenge_id=stored.claimed_by or stored.challenge_id,
        candidate_count=stored.candidates,
        redacted_text=redacted,
        receive_time=timestamp(stored.received_at),
        expire_time=timestamp(stored.expires_at),
    )


def message_state(stored: Message) -> pb.MessageState:
    """What became of a message."""
    if stored.claimed_by:
        return pb.MESSAGE_STATE_TAKEN
    if stored.sure:
        return pb.MESSAGE_STATE_AVAILABLE
    return pb.MESSAGE_STATE_LINK if stored.link_host else pb.MESSAGE_STATE_UNSURE


def check_message_state(number: int) -> None:
    """Raises Invalid for a number that is no state; 0 asks for all."""
    if number not in pb.MessageState.values():
        raise errors.Invalid("state", "is not one of the message states")


def code_source(stored: CodeSource) -> pb.Source:
    """A source of codes without its secret."""
    shown = pb.Source(
        source_id=stored.source_id,
        name=stored.name,
        identifier=stored.identifier,
        state=SOURCE_STATES[stored.state],
        failure=stored.failure,
        receive_time=timestamp(stored.received_at),
        create_time=timestamp(stored.created_at),
    )
    target = stored.target
    if isinstance(target, PullTarget):
        shown.pull.url = target.url
    else:
        shown.mailbox.CopyFrom(
            pb.Mailbox(
                host=target.host,
                port=target.port,
                security=SECURITY_NUMBERS[target.security],
                username=target.username,
                folder=target.folder,
            )
        )
    return shown


def security(number: int) -> Security:
    """How a mail server is reached."""
    if number not in SECURITIES:
        raise errors.Invalid("mailbox.security", "is not one of the ways to secure a connection")
    return SECURITIES[number]


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
