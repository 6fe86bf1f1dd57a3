"""Circuit breakers, one for each upstream: stop calling what fails, and try again gently.

pybreaker counts and keeps the state. Its own ways to wrap a call do not fit asyncio: they hold a
lock during the call, take a cancelled call for an answer and let everybody through while half-open.
So a call asks for leave first and its outcome is told afterwards, through pybreaker's public API.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import grpc
import pybreaker

from libs import errors
from libs.clock import Clock

log = logging.getLogger(__name__)

FAULTS = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
    }
)
# The caller left, or the upstream shed load on purpose: neither says whether it is well.
NEUTRAL = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
    }
)
# A client that calls an open breaker before its probe is decided comes back after this.
PROBE_RETRY_S = 1.0


class Outcome(Enum):
    """What a call says about its upstream."""

    ANSWERED = "answered"
    FAULT = "fault"
    NEUTRAL = "neutral"


def outcome_of(code: grpc.StatusCode, caller_gave_enough_time: bool = True) -> Outcome:
    """What a status says: only the upstream's own faults count against it."""
    if code in NEUTRAL:
        return Outcome.NEUTRAL
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and not caller_gave_enough_time:
        return Outcome.NEUTRAL
    return Outcome.FAULT if code in FAULTS else Outcome.ANSWERED


class _Fault(Exception):
    """Told to pybreaker in place of a failed call."""


@dataclass(eq=False)
class Pass:
    """Leave to make one call. A stream tells twice: how it opened, and a fault later on."""

    breaker: Breaker

    def tell(self, outcome: Outcome) -> None:
        """What came of the call."""
        self.breaker.record(self, outcome)


class Breaker:
    """The breaker of one upstream."""

    def __init__(
        self,
        upstream: str,
        threshold: int,
        reset_s: float,
        clock: Clock,
        on_open: Callable[[Breaker], None] = lambda _breaker: None,
    ) -> None:
        self.upstream = upstream
        self._on_open = on_open
        self.threshold = threshold
        self.reset_s = reset_s
        self._clock = clock
        self._opened_at = 0.0
        self._probe: Pass | None = None
        self._inner = pybreaker.CircuitBreaker(
            fail_max=threshold, reset_timeout=reset_s, name=upstream, throw_new_error_on_trip=False
        )

    @property
    def state(self) -> str:
        """One of "closed", "open" and "half-open"."""
        return self._inner.current_state

    @property
    def failures(self) -> int:
        """Faults in a row so far."""
        return self._inner.fail_counter

    @property
    def retry_after_s(self) -> float:
        """When the next probe may go; 0 when closed."""
        if self.state == pybreaker.STATE_CLOSED:
            return 0.0
        return max(0.0, self._opened_at + self.reset_s - self._clock.monotonic())

    def tune(self, threshold: int, reset_s: float) -> None:
        """Change when it opens and for how long; what it has counted stays."""
        self.threshold, self.reset_s = threshold, reset_s
        self._inner.fail_max, self._inner.reset_timeout = threshold, reset_s

    def check(self) -> None:
        """Unavailable while open, or half-open with its one probe under way."""
        if self.state == pybreaker.STATE_CLOSED:
            return
        if self.retry_after_s > 0:
            raise self._refusal(self.retry_after_s)
        if self._probe is not None:
            raise self._refusal(PROBE_RETRY_S)

    def admit(self) -> Pass:
        """Leave to call, to be told what came of it; Unavailable as `check` says."""
        self.check()
        if self.state == pybreaker.STATE_CLOSED:
            return Pass(self)
        if self.state == pybreaker.STATE_OPEN:
            self._inner.half_open()
        self._probe = Pass(self)
        return self._probe

    def record(self, call: Pass, outcome: Outcome) -> None:
        """Count the outcome of a call that was admitted."""
        deciding = call is self._probe
        if deciding:
            self._probe = None
        # Calls that began before the breaker opened come home late and must not decide for it.
        if not deciding and self.state != pybreaker.STATE_CLOSED:
            return
        if outcome is Outcome.FAULT:
            self._fail()
        elif outcome is Outcome.ANSWERED:
            self._inner.call(_nothing)
            if deciding:
                log.info("the breaker of %s closed", self.upstream)

    def _fail(self) -> None:
        was_closed = self.state == pybreaker.STATE_CLOSED
        try:
            self._inner.call(_fail)
        except (_Fault, pybreaker.CircuitBreakerError):
            pass
        if self.state == pybreaker.STATE_OPEN:
            self._opened_at = self._clock.monotonic()
            log.warning("the breaker of %s opened", self.upstream)
            if was_closed:
                self._on_open(self)

    def _refusal(self, retry_after_s: float) -> errors.Unavailable:
        return errors.Unavailable(
            f"the {self.upstream} service has failed repeatedly and is left alone for a moment",
            reason="BREAKER_OPEN",
            retry_after_s=round(retry_after_s, 3),
            metadata={"upstream": self.upstream},
        )


def _nothing() -> None:
    """A call that went well."""


def _fail() -> None:
    raise _Fault
