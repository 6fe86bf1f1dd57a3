"""Compares this machine's clock with a time server's (SNTP, RFC 4330).

Codes are made from the clock: half a minute off and every site refuses them. The difference is
measured, told in the log and on a span, and nothing is corrected: a wrong clock is for the operator
to set right.
"""

from __future__ import annotations

import asyncio
import logging
import struct

from libs import telemetry
from libs.clock import Clock

EVERY_S = 600.0
ANSWER_S = 3.0
WORRYING_S = 2.0
PORT = 123
_UNIX_EPOCH = 2_208_988_800
_REQUEST = b"\x23" + bytes(39)  # version 4, client
log = logging.getLogger(__name__)


class NoTime(Exception):
    """The time server gave no usable answer."""


async def watch(server: str, clock: Clock) -> None:
    """Measures again and again until cancelled."""
    while True:
        try:
            skew_s = await measure(server, clock)
        except (NoTime, OSError) as error:
            log.warning("the clock could not be compared: %s", error)
        else:
            with telemetry.span("clock skew", server=server, skew_ms=round(skew_s * 1000)):
                level = logging.WARNING if abs(skew_s) > WORRYING_S else logging.INFO
                log.log(level, "the clock is %+.3f s off %s", skew_s, server)
        await clock.sleep(EVERY_S)


async def measure(server: str, clock: Clock) -> float:
    """Seconds by which this clock is ahead of the server's; negative when it is behind."""
    host, _, port = server.rpartition(":") if ":" in server else (server, "", "")
    sent_at = clock.now().timestamp()
    began = clock.monotonic()
    answer = await _ask(host, int(port or PORT), _REQUEST + _stamp(sent_at))
    taken_s = clock.monotonic() - began
    if len(answer) < 48 or answer[0] & 7 != 4 or not 0 < answer[1] < 16:
        raise NoTime("the server's answer is no time")
    if answer[24:32] != _stamp(sent_at):
        raise NoTime("the server answered another question")
    received_at, answered_at = _moment(answer[32:40]), _moment(answer[40:48])
    theirs = (received_at + answered_at) / 2
    return sent_at + taken_s / 2 - theirs


def _stamp(moment: float) -> bytes:
    seconds = int(moment)
    return struct.pack(">II", (seconds + _UNIX_EPOCH) % 2**32, int((moment - seconds) * 2**32))


def _moment(stamp: bytes) -> float:
    seconds, fraction = struct.unpack(">II", stamp)
    # The count of seconds begins anew in 2036.
    era = 2**32 if seconds < 2**31 else 0
    return seconds + era - _UNIX_EPOCH + fraction / 2**32


async def _ask(host: str, port: int, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Answer(answer), remote_addr=(host, port)
    )
    try:
        transport.sendto(question)
        async with asyncio.timeout(ANSWER_S):
            return await answer
    except TimeoutError:
        raise NoTime("the server did not answer in time") from None
    finally:
        transport.close()


class _Answer(asyncio.DatagramProtocol):
    """The first datagram that comes back, or why none can."""

    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self._answer = answer

    def datagram_received(self, data: bytes, _addr: object) -> None:
        """Keeps the first."""
        if not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody is there."""
        if not self._answer.done():
            self._answer.set_exception(exc)
