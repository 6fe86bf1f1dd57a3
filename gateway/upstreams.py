"""The services behind the gateway: every call to one passes its bulkhead and its breaker.

Calls are bytes in and bytes out. Nothing is retried here: Envoy does that, and one layer is enough.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from gateway.breakers import Breaker, Outcome, Pass, outcome_of
from gateway.bulkheads import Bulkhead
from gateway.catalog import Method
from gateway.failures import told
from gateway.settings import GatewaySettings
from libs import errors, metrics
from libs.clock import Clock
from libs.rpc import client, policy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Guard:
    """What stands before one upstream."""

    breaker: Breaker
    bulkhead: Bulkhead


@dataclass(frozen=True)
class Budget:
    """How long a call may last."""

    limit_s: float | None
    # A client that gives much less than the contract grants learns nothing about the upstream.
    is_enough: bool

    @classmethod
    def of(cls, method: Method, asked_s: float | None) -> Budget:
        """The contract's limit, shortened to what the client asks for."""
        granted_s = method.rpc.timeout_s
        limits = [limit for limit in (granted_s, asked_s) if limit is not None]
        is_enough = asked_s is None or granted_s is None or asked_s >= granted_s / 2
        return cls(min(limits) if limits else None, is_enough)


class Upstreams:
    """Calls the services, over the channels that `channel_to` answers for their names."""

    def __init__(
        self,
        channel_to: Callable[[str], grpc.aio.Channel],
        methods: Iterable[Method],
        settings: GatewaySettings,
        clock: Clock,
        on_open: Callable[[Breaker], None] = lambda _breaker: None,
    ) -> None:
        self.guards: dict[str, Guard] = {}
        # What the gateway answers itself, by the RPC's path.
        self.own: dict[str, Callable[[bytes], Awaitable[bytes]]] = {}
        self._token = settings.service_token
        self._opening_s = settings.stream_opening_s
        self._clock = clock
        self._calls: dict[str, Any] = {}
        for method in methods:
            if method.upstream == policy.MESH:
                continue
            channel = channel_to(method.upstream)
            kind = channel.unary_stream if method.rpc.streaming else channel.unary_unary
            self._calls[method.rpc.path] = kind(method.rpc.path)
            if method.upstream not in self.guards:
                self.guards[method.upstream] = _guard(method.upstream, settings, clock, on_open)

    async def ask(self, method: Method, request: bytes, asked_s: float | None) -> bytes:
        """One answer; raises the upstream's own word, or why it could not be asked."""
        if own := self.own.get(method.rpc.path):
            return await own(request)
        guard, budget = self.guards[method.upstream], Budget.of(method, asked_s)
        guard.breaker.check()  # While it is open nobody needs to queue.
        if method.waits:
            async with guard.bulkhead.long_stay():
                return await self._ask(guard, method, request, budget)
        began = self._clock.monotonic()
        async with guard.bulkhead.place(budget.limit_s):
            left = self._left(method, budget, began)
            return await self._ask(guard, method, request, left)

    @asynccontextmanager
    async def stream(
        self, method: Method, request: bytes, asked_s: float | None
    ) -> AsyncIterator[Stream]:
        """A stream that has opened; one that fails at once raises here."""
        guard, budget = self.guards[method.upstream], Budget.of(method, asked_s)
        async with guard.bulkhead.long_stay():
            leave = guard.breaker.admit()
            call = self._start(method, request, budget)
            stream = Stream(call, method, leave, budget)
            try:
                await stream.open(self._opening_s)
                yield stream
            finally:
                stream.close()

    def _start(self, method: Method, request: bytes, budget: Budget) -> Any:
        return self._calls[method.rpc.path](
            request, timeout=budget.limit_s, metadata=client.metadata(self._token)
        )

    async def _ask(self, guard: Guard, method: Method, request: bytes, budget: Budget) -> bytes:
        leave = guard.breaker.admit()
        outcome, code, began = Outcome.NEUTRAL, "CANCELLED", self._clock.monotonic()
        answer = asyncio.ensure_future(self._start(method, request, budget))
        try:
            if method.waits:
                await asyncio.wait({answer}, timeout=self._opening_s)
                # A probe that merely waits must not keep the breaker undecided.
                if not answer.done():
                    leave.tell(Outcome.NEUTRAL)
            received = await answer
            outcome, code = Outcome.ANSWERED, "OK"
            return received
        except grpc.RpcError as error:
            code = code_of(error).name
            outcome = outcome_of(code_of(error), budget.is_enough)
            raise told(error, method.rpc) from None
        finally:
            answer.cancel()
            leave.tell(outcome)
            metrics.asked(method.rpc.path, code, self._clock.monotonic() - began)

    def _left(self, method: Method, budget: Budget, began: float) -> Budget:
        if budget.limit_s is None:
            return budget
        left_s = budget.limit_s - (self._clock.monotonic() - began)
        if left_s <= 0:
            raise errors.DeadlineExceeded(f"the {method.upstream} service was busy for too long")
        return Budget(left_s, budget.is_enough)


class Stream:
    """An open stream of an upstream, read with patience."""

    def __init__(self, call: Any, method: Method, leave: Pass, budget: Budget) -> None:
        self._call = call
        self._messages = call.__aiter__()
        self._method = method
        self._leave = leave
        self._budget = budget
        self._told = False
        self._reading: asyncio.Task[bytes | None] | None = None

    @property
    def reading(self) -> asyncio.Task[bytes | None]:
        """The pending read: its result is a message, or None at the end of the stream."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read())
        return self._reading

    async def open(self, within_s: float) -> None:
        """Wait for the first sign of life; a quiet stream counts as open after a moment."""
        await asyncio.wait({self.reading}, timeout=within_s)
        if not self.reading.done():
            self._tell(Outcome.NEUTRAL)
        elif self.reading.exception() is not None:
            self.reading.result()

    async def next(self) -> bytes | None:
        """The next message, or None at the end; raises the upstream's word."""
        message = await self.reading
        self._reading = None
        return message

    def close(self) -> None:
        """Give the stream up, wherever it is."""
        if self._reading is not None:
            self._reading.cancel()
        self._call.cancel()
        if not self._told:
            self._tell(Outcome.NEUTRAL)

    async def _read(self) -> bytes | None:
        try:
            message = await anext(self._messages)
        except StopAsyncIteration:
            message = None
        except grpc.RpcError as error:
            self._tell(outcome_of(code_of(error), self._budget.is_enough))
            raise told(error, self._method.rpc) from None
        if not self._told:
            self._tell(Outcome.ANSWERED)
        return message

    def _tell(self, outcome: Outcome) -> None:
        self._told = True
        self._leave.tell(outcome)


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """The status of a failed call."""
    return error.code()  # type: ignore[attr-defined]


def _guard(
    upstream: str, settings: GatewaySettings, clock: Clock, on_open: Callable[[Breaker], None]
) -> Guard:
    threshold, reset_s = settings.breaker_threshold, settings.breaker_reset_s
    guard = Guard(
        Breaker(upstream, threshold, reset_s, clock, on_open),
        Bulkhead(upstream, settings.room(upstream)),
    )
    breaker, bulkhead = guard.breaker, guard.bulkhead
    metrics.BREAKER_OPEN.labels(upstream).set_function(lambda: int(breaker.state != "closed"))
    metrics.BULKHEAD_RUNNING.labels(upstream).set_function(lambda: bulkhead.running)
    metrics.BULKHEAD_QUEUED.labels(upstream).set_function(lambda: bulkhead.queued)
    return guard
