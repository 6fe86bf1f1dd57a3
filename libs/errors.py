"""The words anyone may raise, and how each crosses the wire as a google.rpc.Status.

A service raises one of these; the server chain sends it, the client chain raises the same class on
the other side. Conventions follow AIP-193: one ErrorInfo with a stable upper-case reason, and at
most one of each other detail. Anything that is not one of these words is a bug: the caller gets
INTERNAL with an error id and no text.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "podium"
DETAILS_KEY = "grpc-status-details-bin"
# gRPC drops a status whose trailers exceed its metadata limit, and the message with it.
LARGEST_STATUS_BYTES = 4096
LONGEST_MESSAGE = 1000


class Category(StrEnum):
    """What kind of error it is, which decides what is done about it (libs.resilience)."""

    TRANSIENT = "transient"
    RATE_LIMIT = "rate_limit"
    NETWORK = "network"
    CONFIGURATION = "configuration"
    BUSINESS = "business"
    SYSTEM = "system"


class PodiumError(Exception):
    """An error that the caller is meant to see."""

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    default_reason: ClassVar[str] = "INTERNAL"
    category: ClassVar[Category] = Category.BUSINESS

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        retry_after_s: float | None = None,
        violations: Iterable[tuple[str, str]] = (),
        metadata: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.retry_after_s = retry_after_s
        self.violations = list(violations)
        self.metadata = metadata or {}


class Invalid(PodiumError):
    """The request is wrong in itself; `violations` names each field and why."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    default_reason = "INVALID_ARGUMENT"

    def __init__(self, field: str, why: str, **more: object) -> None:
        more.setdefault("violations", [(field, why)])
        super().__init__(f"{field}: {why}" if field else why, **more)  # type: ignore[arg-type]

    @classmethod
    def many(cls, violations: Iterable[tuple[str, str]]) -> Invalid:
        """Several faulty fields at once; the first is the message's."""
        found = list(violations)
        field, why = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return cls(field, why + more, violations=found)


class NotFound(PodiumError):
    """There is no such thing in this organisation."""

    code = grpc.StatusCode.NOT_FOUND
    default_reason = "NOT_FOUND"

    def __init__(self, kind: str, name: str = "", **more: object) -> None:
        message = f"there is no {kind} {name!r}" if name else kind
        super().__init__(message, **more)  # type: ignore[arg-type]


class Conflict(PodiumError):
    """It exists already, or the key was used for something else."""

    code = grpc.StatusCode.ALREADY_EXISTS
    default_reason = "CONFLICT"


class Aborted(PodiumError):
    """Somebody else was faster: read again and decide anew."""

    code = grpc.StatusCode.ABORTED
    default_reason = "ABORTED"
    category = Category.TRANSIENT


class FailedPrecondition(PodiumError):
    """The thing is not in a state in which this can be done."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    default_reason = "FAILED_PRECONDITION"


class Exhausted(PodiumError):
    """No room now; come back after `retry_after_s`."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    default_reason = "RESOURCE_EXHAUSTED"
    category = Category.RATE_LIMIT


class Unavailable(PodiumError):
    """A part that is needed does not answer; come back after `retry_after_s`."""

    code = grpc.StatusCode.UNAVAILABLE
    default_reason = "UNAVAILABLE"
    category = Category.TRANSIENT


class DeadlineExceeded(PodiumError):
    """It was not done in time."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    default_reason = "DEADLINE_EXCEEDED"
    category = Category.TRANSIENT


class Cancelled(PodiumError):
    """The caller took its request back."""

    code = grpc.StatusCode.CANCELLED
    default_reason = "CANCELLED"


class Unauthenticated(PodiumError):
    """Nobody can tell who is calling."""

    code = grpc.StatusCode.UNAUTHENTICATED
    default_reason = "UNAUTHENTICATED"
    category = Category.CONFIGURATION


class PermissionDenied(PodiumError):
    """The caller is known and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED
    default_reason = "PERMISSION_DENIED"
    category = Category.CONFIGURATION


class Unimplemented(PodiumError):
    """There is no such RPC."""

    code = grpc.StatusCode.UNIMPLEMENTED
    default_reason = "UNIMPLEMENTED"
    category = Category.CONFIGURATION


class Internal(PodiumError):
    """A bug; `metadata["error_id"]` finds it in the log."""

    category = Category.SYSTEM


WORDS: dict[grpc.StatusCode, type[PodiumError]] = {
    word.code: word
    for word in (
        Invalid,
        NotFound,
        Conflict,
        Aborted,
        FailedPrecondition,
        Exhausted,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        Unauthenticated,
        PermissionDenied,
        Unimplemented,
        Internal,
    )
}


def to_status(error: PodiumError) -> status_pb2.Status:
    """The error as it travels; details beyond 4 KiB are cut, the reason always arrives."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    info.metadata.update({key: str(value)[:200] for key, value in error.metadata.items()})
    status = status_pb2.Status(
        code=error.code.value[0],
        message=error.message[:LONGEST_MESSAGE],
        details=[_packed(info)],
    )
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after_s * 1000))
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    if error.violations:
        status.details.append(_packed(_bad_request(error.violations, status.ByteSize())))
    return status


def _bad_request(
    violations: list[tuple[str, str]], size_so_far: int
) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for field, why in violations:
        bad.field_violations.add(field=field[:200], description=why[:500])
        if size_so_far + bad.ByteSize() > LARGEST_STATUS_BYTES - 200:
            del bad.field_violations[-1]
            break
    return bad


def _packed(message: object) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)  # type: ignore[arg-type]
    return packed


def from_status(status: status_pb2.Status) -> PodiumError:
    """The error that `to_status` sent, as the same class."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    error = _bare(code, status.message)
    for packed in status.details:
        _read_detail(error, packed)
    return error


def from_rpc(error: grpc.RpcError) -> PodiumError:
    """What a failed call raises on the caller's side."""
    trailers = error.trailing_metadata() or ()  # type: ignore[attr-defined]
    for key, value in trailers:
        if key == DETAILS_KEY:
            return from_status(status_pb2.Status.FromString(value))
    return _bare(error.code(), error.details() or "")  # type: ignore[attr-defined]


def _bare(code: grpc.StatusCode, message: str) -> PodiumError:
    word = WORDS.get(code, Internal)
    error = word.__new__(word)
    PodiumError.__init__(error, message or code.name)
    return error


def _read_detail(error: PodiumError, packed: any_pb2.Any) -> None:
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    bad = error_details_pb2.BadRequest()
    if packed.Unpack(info):
        error.reason = info.reason or error.reason
        error.metadata = dict(info.metadata)
    elif packed.Unpack(retry):
        error.retry_after_s = retry.retry_delay.ToMilliseconds() / 1000
    elif packed.Unpack(bad):
        error.violations = [(v.field, v.description) for v in bad.field_violations]


_CODES = {code.value[0]: code for code in grpc.StatusCode}
