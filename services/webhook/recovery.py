"""Sending again what an endpoint did not get since a time, some hundred deliveries to a commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.db import Database, Tx
from services.webhook import store
from services.webhook.domain import Announcement

# Deliveries that one commit makes due, and one call; the others' units wait behind a commit.
BATCH = 500
MOST = 10_000


@dataclass(frozen=True)
class Recovered:
    """How many deliveries are due again or anew; `more` when a call did as much as one does."""

    replayed: int
    missed: int
    more: bool


async def recover(
    database: Database, row: Any, since: datetime, until: datetime, *, include_missed: bool
) -> Recovered:
    """Replays the dead deliveries of a time; with `include_missed` makes those there are not."""
    replayed, missed, dead = 0, 0, [""]
    position = 0
    whose = (row.organization_id, row.endpoint_id)

    def replay(tx: Tx, after: str) -> list[str]:
        endpoint = store.endpoint_to_send_to(tx, *whose)
        dead = store.dead(tx, endpoint, since, until, after, BATCH)
        store.replay(tx, endpoint.organization_id, dead)
        return dead

    def make(tx: Tx, after: int) -> tuple[int, int]:
        """How many deliveries were made, and the position that was looked at last; 0: the end."""
        endpoint = store.endpoint_to_send_to(tx, *whose)
        found = store.missed(tx, endpoint, since, until, after, BATCH)
        told = [Announcement.of(event) for event in found]
        wanted = [(endpoint.endpoint_id, event) for event in told if store.wants(endpoint, event)]
        made = store.add_deliveries(tx, wanted)
        return len(made), found[-1].position if len(found) == BATCH else 0

    while dead and replayed < MOST:
        dead = await database.write(lambda tx, after=dead[-1]: replay(tx, after))
        replayed += len(dead)
    while include_missed and replayed + missed < MOST:
        count, position = await database.write(lambda tx, after=position: make(tx, after))
        missed += count
        if not position:
            break
    return Recovered(replayed, missed, more=replayed + missed >= MOST)
