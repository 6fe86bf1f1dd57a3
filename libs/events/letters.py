"""Dead letters: events that a group could not handle; they are listed, and replayed to that group.

The client is `Any` here: its own types promise text or nothing where bytes come.

A letter waits on Redis. Should Redis lose it, the outbox publishes its event again with the rest.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError

from libs import errors
from libs.events.streams import DEAD_LETTERS, FIELD, RETRIES
from podium.common.v1 import event_pb2

MOST_LETTERS = 100_000
_PAGE = 200
_NOTES = ("group", "stream", "reason")
_LETTER_ID = re.compile(r"^\d{1,15}-\d{1,15}$")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeadLetter:
    """One event that one group gave up; `event` is None when it could not even be read."""

    letter_id: str
    group: str
    stream: str
    reason: str
    buried_at: datetime
    event: event_pb2.Event | None


async def bury(
    redis: Any, stream: str, group: str, message_id: bytes, fields: Any, reason: str
) -> None:
    """Takes a message from its group and lays it to the dead letters, in one step."""
    letter = {**(fields or {}), b"stream": stream, b"group": group, b"reason": reason}
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.xadd(DEAD_LETTERS, letter, maxlen=MOST_LETTERS, approximate=True)
        pipeline.xack(stream, group, message_id)
        await pipeline.execute()
    log.error("%s gave up %s of %s: %s", group, message_id.decode(), stream, reason)


async def listed(redis: Any, limit: int | None = None) -> AsyncIterator[DeadLetter]:
    """The dead letters, oldest first."""
    after = "-"
    while limit is None or limit > 0:
        count = _PAGE if limit is None else min(_PAGE, limit)
        page = await redis.xrange(DEAD_LETTERS, min=after, count=count)
        for message_id, fields in page:
            yield _letter(message_id, fields)
        if len(page) < count:
            return
        limit = None if limit is None else limit - len(page)
        after = f"({page[-1][0].decode()}"


async def replay(redis: Any, letter_id: str) -> DeadLetter:
    """Gives the event to the group that gave it up, and to no other, and removes the letter."""
    if not _LETTER_ID.match(letter_id):
        raise errors.Invalid("letter_id", f"is not the id of a dead letter: {letter_id[:80]!r}")
    found = await redis.xrange(DEAD_LETTERS, min=letter_id, max=letter_id)
    if not found:
        raise errors.NotFound("dead letter", letter_id)
    letter = _letter(*found[0])
    if letter.event is None or not letter.group:
        raise errors.FailedPrecondition(
            f"dead letter {letter_id} is not an event that can be read", reason="NOT_AN_EVENT"
        )
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.xadd(RETRIES + letter.group, {FIELD: letter.event.SerializeToString()})
        pipeline.xdel(DEAD_LETTERS, letter_id)
        await pipeline.execute()
    return letter


def _letter(message_id: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    letter_id = message_id.decode()
    try:
        event = event_pb2.Event.FromString(fields[FIELD])
    except (DecodeError, KeyError):
        event = None
    notes = {name: fields.get(name.encode(), b"").decode(errors="replace") for name in _NOTES}
    buried_at = datetime.fromtimestamp(int(letter_id.partition("-")[0]) / 1000, UTC)
    return DeadLetter(letter_id, buried_at=buried_at, event=event, **notes)
