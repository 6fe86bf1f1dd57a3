"""Events written with the state that caused them, and the relay that brings them to the bus.

After a commit its own events go to the bus at once, without reading them back. A sweep finds those
that a dead replica left behind. Publishing twice is allowed (consumers know an event by its id),
losing one is not: a row is marked only after the bus has taken it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from google.protobuf import struct_pb2, timestamp_pb2

from libs import context, db, ids, telemetry
from libs.clock import Clock
from libs.events.bus import Bus, BusUnavailable
from podium.common.v1 import event_pb2

outbox = sa.Table(
    "outbox",
    db.SHARED,
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("event", sa.LargeBinary, nullable=False),
    sa.Column("created_at", db.Timestamp, nullable=False),
    sa.Column("published_at", db.Timestamp, index=True),
)
# The newest event about each run, so that the next one can name it.
tails = sa.Table(
    "outbox_tails",
    db.SHARED,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("at", db.Timestamp, nullable=False, index=True),
)
RETENTION = timedelta(hours=24)
SWEEP_S = 1.0
MARK_S = 0.2
# A row this old that is still unmarked has lost its relay.
ORPHAN_AGE = timedelta(seconds=2)
LARGEST_BATCH = 500
log = logging.getLogger(__name__)


def add(
    tx: db.Tx,
    type_: str,
    data: dict[str, Any],
    *,
    run_id: str | None,
    workflow_run_id: str | None,
    task_id: str | None,
    organization_id: str | None,
) -> str:
    """Writes an event into the outbox of this commit and answers its id."""
    present = context.current()
    event = event_pb2.Event(
        event_id=ids.new("evt"),
        type=type_,
        organization_id=present.organization_id if organization_id is None else organization_id,
        run_id=present.run_id if run_id is None else run_id,
        workflow_run_id=present.workflow_run_id if workflow_run_id is None else workflow_run_id,
        task_id=present.task_id if task_id is None else task_id,
        request_id=present.request_id,
        traceparent=telemetry.traceparent(),
        occurred_at=_timestamp(tx.now),
        data=_struct(data),
    )
    if event.run_id:
        event.previous_event_id = _follow(tx, event)
    row = {"event_id": event.event_id, "event": event.SerializeToString(), "created_at": tx.now}
    tx.execute(sa.insert(outbox).values(**row))
    tx.outgoing.append(event)
    return event.event_id


def _follow(tx: db.Tx, event: event_pb2.Event) -> str:
    """Makes an event the newest about its run, and answers the one before it."""
    mine = tails.c.run_id == event.run_id
    before = tx.execute(sa.select(tails.c.event_id).where(mine).with_for_update()).scalar()
    values = {"event_id": event.event_id, "at": tx.now}
    if before is None:
        tx.execute(sa.insert(tails).values(run_id=event.run_id, **values))
        return ""
    tx.execute(sa.update(tails).where(mine).values(**values))
    return before


def _timestamp(moment: datetime) -> timestamp_pb2.Timestamp:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _struct(data: dict[str, Any]) -> struct_pb2.Struct:
    packed = struct_pb2.Struct()
    packed.update(data)
    return packed


@dataclass
class Relay:
    """Brings the events of one service from its outbox to its stream."""

    database: db.Database
    bus: Bus
    service: str
    clock: Clock

    def __post_init__(self) -> None:
        self._queue: list[event_pb2.Event] = []
        self._published: list[str] = []
        self._in_hand: set[str] = set()
        self._work = asyncio.Event()
        self._marking = asyncio.Event()

    def hand_over(self, tx: db.Tx) -> None:
        """Takes the events of a commit; called right after it."""
        if tx.outgoing:
            self._queue.extend(tx.outgoing)
            self._in_hand.update(event.event_id for event in tx.outgoing)
            self._work.set()

    async def run(self) -> None:
        """Publishes, marks and sweeps until cancelled."""
        # Not a TaskGroup: that passes only the first of several cancellations on (libs.stopping).
        await asyncio.gather(self._publish_loop(), self._mark_loop(), self._sweep_loop())

    async def flush(self) -> None:
        """Publishes and marks what is in hand, for a drain; what is left is swept later."""
        if self._queue:
            await self._publish_batch()
        await self._mark()

    async def _publish_loop(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._queue:
                if not await self._publish_batch():
                    await self.clock.sleep(0.5)

    async def _publish_batch(self) -> bool:
        batch, self._queue = self._queue[:LARGEST_BATCH], self._queue[LARGEST_BATCH:]
        for event in batch:
            event.source = self.service
        try:
            await self.bus.publish(self.service, batch)
        except BusUnavailable:
            self._queue[:0] = batch
            return False
        telemetry.count_messages(self.service, batch)
        self._published.extend(event.event_id for event in batch)
        self._marking.set()
        return True

    async def _mark_loop(self) -> None:
        while True:
            await self._marking.wait()
            self._marking.clear()
            # Marking late and together saves a commit for each batch; the price of a crash in
            # between is a repeat, which consumers know by its id.
            await self.clock.sleep(MARK_S)
            await self._mark()

    async def _mark(self) -> None:
        done, self._published = self._published, []
        if not done:
            return

        def mark(tx: db.Tx) -> None:
            statement = sa.update(outbox).where(outbox.c.event_id.in_(done))
            tx.execute(statement.values(published_at=tx.now))

        try:
            await self.database.write(mark)
            self._in_hand.difference_update(done)
        except Exception:  # noqa: BLE001
            log.warning("could not mark %d published events; they will repeat", len(done))
            self._published.extend(done)
            self._marking.set()

    async def _sweep_loop(self) -> None:
        rounds = 0
        while True:
            await self.clock.sleep(SWEEP_S)
            rounds += 1
            try:
                await self._sweep()
                if rounds % 600 == 0:
                    await self.database.write(_expire)
            except Exception:
                log.exception("outbox sweep failed")

    async def _sweep(self) -> None:
        def left_behind(tx: db.Tx) -> list[event_pb2.Event]:
            query = (
                sa.select(outbox.c.event)
                .where(outbox.c.published_at.is_(None), outbox.c.created_at < tx.now - ORPHAN_AGE)
                .order_by(outbox.c.created_at, outbox.c.event_id)
                .limit(LARGEST_BATCH)
            )
            return [event_pb2.Event.FromString(row.event) for row in tx.execute(query)]

        found = await self.database.read(left_behind)
        missed = [event for event in found if event.event_id not in self._in_hand]
        if missed:
            log.info("publishing %d events that were left behind", len(missed))
            self._queue.extend(missed)
            self._in_hand.update(event.event_id for event in missed)
            self._work.set()


def _expire(tx: db.Tx) -> None:
    tx.execute(sa.delete(outbox).where(outbox.c.published_at < tx.now - RETENTION))
    tx.execute(sa.delete(tails).where(tails.c.at < tx.now - 7 * RETENTION))
    tx.execute(sa.delete(db.inbox).where(db.inbox.c.received_at < tx.now - 7 * RETENTION))
