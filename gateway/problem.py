"""Errors as REST shows them: one RFC 9457 problem for everything that can go wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import grpc
import orjson

from libs import errors, ids

MEDIA_TYPE = "application/problem+json"

# The HTTP mapping that google.rpc.Code documents.
STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
TITLES = {
    400: "The request cannot be carried out as it is",
    401: "A valid API key is required",
    403: "Not allowed",
    404: "There is no such thing",
    405: "The path does not know this method",
    409: "It conflicts with what is there",
    413: "The request is too large",
    415: "The body must be application/json",
    429: "Too much at once",
    499: "The request was taken back",
    500: "Something went wrong here",
    501: "There is no such operation",
    503: "A part that is needed does not answer now",
    504: "It was not done in time",
}


class HttpRefusal(Exception):
    """A refusal that only HTTP knows, such as 405 or 415."""

    def __init__(
        self, status: int, reason: str, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = headers or {}


@dataclass(frozen=True)
class Problem:
    """What the client is told."""

    status: int
    code: str  # the gRPC name: "NOT_FOUND"
    reason: str
    detail: str
    request_id: str
    violations: list[tuple[str, str]] = field(default_factory=list)
    retry_after_s: float | None = None
    error_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; members that have nothing to say are left out."""
        told: dict[str, Any] = {
            "type": f"urn:podium:problem:{self.reason.lower().replace('_', '-')}",
            "title": TITLES.get(self.status, "The request failed"),
            "status": self.status,
            "code": self.code,
            "reason": self.reason,
            "detail": self.detail,
            "request_id": self.request_id,
        }
        if self.violations:
            told["violations"] = [{"field": name, "why": why} for name, why in self.violations]
        if self.retry_after_s is not None:
            told["retry_after_s"] = self.retry_after_s
        if self.error_id:
            told["error_id"] = self.error_id
        if self.metadata:
            told["metadata"] = self.metadata
        return told

    def as_json(self) -> bytes:
        """The JSON text."""
        return orjson.dumps(self.as_dict())

    def all_headers(self) -> dict[str, str]:
        """Headers of the answer; Retry-After has whole seconds only."""
        headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store", **self.headers}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after_s)))
        if self.status == 401:
            headers["www-authenticate"] = 'Bearer realm="podium"'
        return headers


def of(error: Exception, request_id: str) -> Problem:
    """The problem that an error is; what is not one of our words becomes a nameless 500."""
    if isinstance(error, HttpRefusal):
        code = "NOT_FOUND" if error.status == 404 else "INVALID_ARGUMENT"
        return Problem(
            error.status, code, error.reason, error.detail, request_id, headers=error.headers
        )
    if not isinstance(error, errors.PodiumError):
        error = bug()
    metadata = dict(error.metadata)
    return Problem(
        status=STATUS.get(error.code, 500),
        code=error.code.name,
        reason=error.reason,
        detail=error.message,
        request_id=request_id,
        violations=error.violations,
        retry_after_s=error.retry_after_s,
        error_id=metadata.pop("error_id", ""),
        metadata=metadata,
    )


def bug() -> errors.Internal:
    """A bug of the gateway: the caller gets an id, the log gets the rest."""
    return errors.Internal(
        "something went wrong here; the error id finds it in the log",
        metadata={"error_id": ids.new("err")},
    )
