"""What a request brings along through either door: its id, its deadline, its trace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from libs import errors, ids

REQUEST_ID = "x-request-id"
CANARY = "x-podium-canary"
TIMEOUT = "x-timeout-ms"
GRPC_TIMEOUT = "grpc-timeout"
LONGEST_TIMEOUT_MS = 24 * 3600 * 1000

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_GRPC_TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])", re.ASCII)
_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@dataclass(frozen=True)
class Entry:
    """What is taken from a request's headers; nothing else of them reaches the mesh."""

    request_id: str
    traceparent: str
    canary: str = ""  # "1": replicas that are on trial are to answer


def entry_of(headers: Mapping[str, str]) -> Entry:
    """The entry of a request; ids and traces that are not well-formed are replaced."""
    request_id = headers.get(REQUEST_ID, "")
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = ids.new("req")
    traceparent = headers.get("traceparent", "")
    if not _TRACEPARENT.fullmatch(traceparent):
        traceparent = ""
    return Entry(request_id, traceparent, "1" if headers.get(CANARY) == "1" else "")


def asked_timeout_s(headers: Mapping[str, str]) -> float | None:
    """How long a REST client gives the call; None when it does not say."""
    if TIMEOUT in headers:
        text = headers[TIMEOUT]
        good = text.isascii() and text.isdigit() and len(text) < 12
        if not good or not 0 < int(text) <= LONGEST_TIMEOUT_MS:
            why = f"must be a whole number of milliseconds from 1 to {LONGEST_TIMEOUT_MS}"
            raise errors.Invalid(TIMEOUT, why)
        return int(text) / 1000
    if GRPC_TIMEOUT in headers:
        parts = _GRPC_TIMEOUT.fullmatch(headers[GRPC_TIMEOUT])
        if not parts:
            raise errors.Invalid(GRPC_TIMEOUT, 'must be a number and a unit, such as "5S"')
        return int(parts.group(1)) * _UNITS_S[parts.group(2)]
    return None


def link_token(query: bytes) -> str:
    """The token of a link, of its address; empty without one."""
    return next(iter(parse_qs(query.decode("latin-1")).get("token", ())), "")
