"""A channel whose certificate is renewed: a gRPC client cannot be given another one.

So there is a new connection for each version. Calls that are under way, such as streams of hours,
end where they began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from libs.rpc.certificates import Certificates, Version

Open = Callable[[grpc.ChannelCredentials], grpc.aio.Channel]


class _Line:
    """The real channel of one version, with its calls."""

    def __init__(self, version: Version, channel: grpc.aio.Channel) -> None:
        self.version = version
        self.channel = channel
        self.rpcs: dict[_Rpc, Any] = {}
        self._under_way = 0
        self._retired = False
        self._closing: asyncio.Task[None] | None = None

    def call(self, rpc: _Rpc, *args: Any, **more: Any) -> Any:
        """Begin a call."""
        if rpc not in self.rpcs:
            self.rpcs[rpc] = rpc.of(self.channel)
        call = self.rpcs[rpc](*args, **more)
        self._under_way += 1
        call.add_done_callback(self._ended)
        return call

    def retire(self) -> None:
        """Close it once its last call has ended."""
        self._retired = True
        self._close_if_idle()

    def _ended(self, _call: Any) -> None:
        self._under_way -= 1
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._retired and not self._under_way and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self.channel.close())


class _Rpc:
    """One RPC, on whichever line is the present one."""

    def __init__(self, owner: RenewedChannel, kind: str, args: Any, more: Any) -> None:
        self._owner = owner
        self._kind = kind
        self._args = args
        self._more = more

    def of(self, channel: grpc.aio.Channel) -> Any:
        """The same RPC of a real channel."""
        return getattr(channel, self._kind)(*self._args, **self._more)

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Begin a call."""
        return self._owner.line().call(self, *args, **more)


class RenewedChannel(grpc.aio.Channel):
    """Looks like a channel, and has one for each version of the certificate."""

    def __init__(self, certificates: Certificates, opened: Open) -> None:
        self._certificates = certificates
        self._opened = opened
        self._line: _Line | None = None

    def line(self) -> _Line:
        """The line of the present version."""
        version = self._certificates.current()
        if self._line is None or self._line.version is not version:
            before = self._line
            self._line = _Line(version, self._opened(version.channel_credentials()))
            if before is not None:
                before.retire()
        return self._line

    def unary_unary(self, *args: Any, **more: Any) -> Any:
        """One question, one answer."""
        return _Rpc(self, "unary_unary", args, more)

    def unary_stream(self, *args: Any, **more: Any) -> Any:
        """One question, many answers."""
        return _Rpc(self, "unary_stream", args, more)

    def stream_unary(self, *args: Any, **more: Any) -> Any:
        """Many questions, one answer."""
        return _Rpc(self, "stream_unary", args, more)

    def stream_stream(self, *args: Any, **more: Any) -> Any:
        """Many questions, many answers."""
        return _Rpc(self, "stream_stream", args, more)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """How the present line is."""
        return self.line().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns when the present line is no longer like that."""
        await self.line().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Returns when the present line is connected."""
        await self.line().channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Close the present line; those before it close with their last call."""
        if self._line is not None:
            await self._line.channel.close(grace)

    async def __aenter__(self) -> RenewedChannel:
        """The channel itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()
