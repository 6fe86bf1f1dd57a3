"""Closes challenges whose time is over and destroys what has lived its life."""

from __future__ import annotations

import logging

from libs import errors
from libs.clock import Clock
from libs.db import Database, Tx
from services.totp import matching
from services.totp.store import challenges, messages

SWEEP_S = 5.0
_BATCH = 200
log = logging.getLogger(__name__)


async def sweep(database: Database, clock: Clock) -> None:
    """Runs until cancelled. Any number of replicas may; each change is a compare-and-set."""
    while True:
        try:
            if await database.read(_anything_to_do):
                await database.write(_close_and_purge)
        except errors.PodiumError as error:
            log.warning("sweep put off: %s", error.message)
        await clock.sleep(SWEEP_S)


def _anything_to_do(tx: Tx) -> bool:
    due = challenges.next_due(tx)
    return (due is not None and due <= tx.now) or messages.any_over(tx) or challenges.any_over(tx)


def _close_and_purge(tx: Tx) -> None:
    for challenge in challenges.due(tx, _BATCH):
        matching.expire(tx, challenge)
    messages.purge(tx)
    challenges.purge(tx)
