"""The clock against a time server on this machine."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from libs.clock import Clock
from services.totp import skew

UNIX_EPOCH = 2_208_988_800


class Shifted(Clock):
    """A clock that is wrong by so many seconds."""

    def __init__(self, by_s: float) -> None:
        self._by = timedelta(seconds=by_s)

    def now(self) -> datetime:
        return super().now() + self._by


class TimeServer(asyncio.DatagramProtocol):
    """Answers as RFC 4330 says, or as it is told to."""

    def __init__(self, spoil: bytes = b"") -> None:
        self._spoil = spoil

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        now = Clock().now().timestamp()
        stamp = struct.pack(">II", int(now) + UNIX_EPOCH, int(now % 1 * 2**32))
        head = b"\x24\x01" + bytes(22)
        self._transport.sendto(self._spoil or head + data[40:48] + stamp + stamp, addr)


@asynccontextmanager
async def time_server(spoil: bytes = b"") -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: TimeServer(spoil), local_addr=("127.0.0.1", 0)
    )
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


@pytest.mark.parametrize("wrong_by_s", [0.0, 41.5, -3600.0])
async def test_the_skew_is_what_the_clock_is_wrong_by(wrong_by_s: float) -> None:
    async with time_server() as server:
        measured = await skew.measure(server, Shifted(wrong_by_s))
    assert measured == pytest.approx(wrong_by_s, abs=1.0)


@pytest.mark.parametrize("answer", [b"hello", b"\x24\x00" + bytes(46), b"\x24\x01" + bytes(46)])
async def test_an_answer_that_is_no_time_is_refused(answer: bytes) -> None:
    async with time_server(answer) as server:
        with pytest.raises(skew.NoTime):
            await skew.measure(server, Clock())


async def test_a_worrying_skew_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with time_server() as server:
        watching = asyncio.create_task(skew.watch(server, Shifted(90)))
        async with asyncio.timeout(10):
            while "the clock is +" not in caplog.text:
                await asyncio.sleep(0.01)
        watching.cancel()
    assert "+90." in caplog.text or "+89." in caplog.text
    assert caplog.records[-1].levelname == "WARNING"
