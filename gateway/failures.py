"""What a failed upstream call tells the client.

Only a status with details was written by one of our services, in words that are meant to be read.
Any other comes from gRPC or Envoy and speaks of sockets and connections: it keeps its code and gets
words of ours.
"""

from __future__ import annotations

import logging
from typing import Any

import grpc

from gateway.problem import bug
from libs import errors
from libs.rpc.policy import Rpc

log = logging.getLogger(__name__)
RETRY_AFTER_S = 1.0
LINK_INVALID = "LINK_INVALID"


def told(error: Any, rpc: Rpc) -> errors.PodiumError:
    """The word that a failed call becomes."""
    trailers = error.trailing_metadata() or ()
    if any(key == errors.DETAILS_KEY for key, _ in trailers):
        word = errors.from_rpc(error)
        return _our_own_fault(word, rpc) if _is_about_us(word) else word
    code = error.code()
    log.warning("%s: %s %s", rpc.path, code.name, error.details())
    return _own_words(code, error.details() or "", rpc)


def _is_about_us(word: errors.PodiumError) -> bool:
    """Whether a service refused the gateway itself; clients have been let in long before.

    A link is opened by the service that made it, so only that can say that it is not good.
    """
    is_unknown = isinstance(word, errors.Unauthenticated) and word.reason != LINK_INVALID
    return is_unknown or word.reason == "NOT_IN_INTERACTION_MATRIX"


def _our_own_fault(word: errors.PodiumError, rpc: Rpc) -> errors.PodiumError:
    internal = bug()
    log.error("%s refused us: %s (%s)", rpc.path, word.message, internal.metadata["error_id"])
    return internal


def _own_words(code: grpc.StatusCode, details: str, rpc: Rpc) -> errors.PodiumError:
    where = {"upstream": rpc.service}
    if code is grpc.StatusCode.INTERNAL and errors.RESET in details:
        code = grpc.StatusCode.UNAVAILABLE
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            return errors.Unavailable(
                f"the {rpc.service} service cannot be reached now",
                retry_after_s=RETRY_AFTER_S,
                metadata=where,
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return errors.DeadlineExceeded(
                f"the {rpc.service} service did not answer {rpc.name} in time", metadata=where
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return errors.Exhausted("a message is too large to be passed on", metadata=where)
        case grpc.StatusCode.UNIMPLEMENTED:
            return errors.Unimplemented(
                f"the {rpc.service} service does not know {rpc.name} yet", metadata=where
            )
        case grpc.StatusCode.CANCELLED:
            return errors.Cancelled("the call was taken back")
    internal = bug()
    log.error("%s: %s (%s)", rpc.path, code.name, internal.metadata["error_id"])
    return internal
