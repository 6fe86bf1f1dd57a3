"""The relay: brings the events of one service from its outbox to the bus.

After a commit its own events go to the bus at once, without reading them back; a sweep finds those
that a dead replica left behind. Publishing twice is allowed (consumers know an event by its id),
losing one is not: a row is marked only after the bus has taken it, and what the bus loses later is
published again from the table.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs import db, metrics, outbox, telemetry, wire
from libs.clock import Clock
from libs.events.bus import Bus, BusUnavailable, StreamLost
from libs.stopping import together
from podium.common.v1 import event_pb2

CHECK_S = 1.0
MARK_S = 0.2
RETRY_S = 0.25
TIDY_S = 30.0
LARGEST_BATCH = 500
# While the bus is away only so many events wait in memory; then the table alone remembers them.
LONGEST_QUEUE = 5_000
# The bus says when it was last known to be whole; marks and clocks may lag behind that.
MARGIN = timedelta(seconds=60)
log = logging.getLogger(__name__)


@dataclass
class Relay:
    """Publishes the events of one service, and knows what the bus has not taken or has lost."""

    database: db.Database
    bus: Bus
    service: str
    clock: Clock

    def __post_init__(self) -> None:
        self._queue: list[event_pb2.Event] = []
        self._published: list[str] = []
        self._in_hand: set[str] = set()
        # True while events wait in the table that are not in the queue.
        self._behind = False
        self._well_since: float | None = None
        self._work = asyncio.Event()
        self._marking = asyncio.Event()
        # The oldest event that was left to the table, while some are.
        self._left_at: datetime | None = None
        metrics.OUTBOX_WAITING.set_function(lambda: len(self._queue))
        metrics.OUTBOX_LAG.set_function(self._lag_s)

    def hand_over(self, tx: db.Tx) -> None:
        """Takes the events of a commit; called right after it."""
        if not tx.outgoing:
            return
        if self._behind or len(self._queue) + len(tx.outgoing) > LONGEST_QUEUE:
            self._fall_back()
            return
        self._queue.extend(tx.outgoing)
        self._in_hand.update(event.event_id for event in tx.outgoing)
        self._work.set()

    def _fall_back(self) -> None:
        """Leaves the events to the table, so that memory does not grow with the outage."""
        if not self._behind:
            log.warning("the bus is away for long: %s's events wait in the table", self.service)
        if self._left_at is None:
            self._left_at = self._oldest_at() or self.clock.now()
        self._behind = True
        self._in_hand.difference_update(event.event_id for event in self._queue)
        self._queue.clear()

    def _oldest_at(self) -> datetime | None:
        return wire.moment(self._queue[0].occurred_at) if self._queue else None

    def _lag_s(self) -> float:
        """How long the oldest event that the bus has not taken has been waiting."""
        oldest = self._left_at if self._behind else self._oldest_at()
        return 0.0 if oldest is None else max(0.0, (self.clock.now() - oldest).total_seconds())

    async def run(self) -> None:
        """Publishes, marks and sweeps until cancelled."""
        await together(self._publish_loop(), self._mark_loop(), self._tidy_loop())

    async def flush(self) -> None:
        """Publishes and marks what is in hand, for a drain; what is left is swept later."""
        if self._queue:
            await self._publish_batch()
        await self._mark()

    async def _publish_loop(self) -> None:
        """The only place that talks to the bus, so that order is what it is in the table."""
        while True:
            try:
                await self._publish_batch()
                if self._queue:
                    continue
                if await self._sweep():
                    continue
                await self._wait_for_work()
            except StreamLost as lost:
                log.info("%s: %s", self.service, lost)
                await self._restore(lost.since)
            except BusUnavailable as error:
                if self._well_since is not None:
                    log.warning("the bus does not answer: %s", error)
                self._well_since = None
                await self.clock.sleep(RETRY_S)
            except Exception:
                log.exception("the relay failed; it goes on")
                await self.clock.sleep(CHECK_S)

    async def _restore(self, since: datetime | None) -> None:
        try:
            await self._refill(since)
        except BusUnavailable as error:
            log.warning("could not fill the stream again yet: %s", error)
            self._well_since = None
            await self.clock.sleep(RETRY_S)
        except Exception:
            log.exception("could not fill the stream again yet")
            await self.clock.sleep(CHECK_S)

    async def _wait_for_work(self) -> None:
        try:
            async with asyncio.timeout(CHECK_S):
                await self._work.wait()
        except TimeoutError:
            return
        self._work.clear()

    async def _publish_batch(self) -> None:
        """Publishes the next events; without any it looks whether the bus has lost something."""
        batch, self._queue = self._queue[:LARGEST_BATCH], self._queue[LARGEST_BATCH:]
        for event in batch:
            event.source = self.service
        try:
            await self.bus.publish_if_whole(self.service, batch)
        except BaseException:
            self._put_back(batch)
            raise
        if self._well_since is None:
            self._well_since = self.clock.monotonic()
        if batch:
            metrics.EVENTS_PUBLISHED.inc(len(batch))
            telemetry.count_messages(self.service, batch)
            self._published.extend(event.event_id for event in batch)
            self._marking.set()

    def _put_back(self, batch: list[event_pb2.Event]) -> None:
        if self._behind:
            self._in_hand.difference_update(event.event_id for event in batch)
        else:
            self._queue[:0] = batch

    async def _sweep(self) -> bool:
        """Takes events of the table into the queue; True when there were some."""
        if self._behind:
            # What was published is marked first, or the same rows would be found again.
            await self._mark()
            page = await self.database.read(
                lambda tx: outbox.unpublished(tx, LARGEST_BATCH, orphans_only=False)
            )
            self._behind = len(page) == LARGEST_BATCH
            self._left_at = wire.moment(page[0].occurred_at) if self._behind else None
        elif self._well_for_s() < outbox.ORPHAN_AGE.total_seconds():
            # After an outage the other replicas first publish what they have in hand.
            return False
        else:
            page = await self.database.read(
                lambda tx: outbox.unpublished(tx, LARGEST_BATCH, orphans_only=True)
            )
        missed = [event for event in page if event.event_id not in self._in_hand]
        if missed:
            log.info("publishing %d events that were left in the table", len(missed))
            self._queue.extend(missed)
            self._in_hand.update(event.event_id for event in missed)
        return bool(missed)

    def _well_for_s(self) -> float:
        return 0.0 if self._well_since is None else self.clock.monotonic() - self._well_since

    async def _refill(self, since: datetime | None) -> None:
        """Publishes again what the bus lost, in order and before anything new."""
        refill = await self.bus.refill(self.service)
        if refill is None:
            # Another replica fills it again; nothing of ours is taken until it has finished.
            await self.clock.sleep(RETRY_S)
            return
        start = None if since is None else since - MARGIN
        after, count = "", 0
        while page := await self._lost(start, after):
            after = page[-1].event_id
            for event in page:
                event.source = self.service
            await refill.publish(page)
            count += len(page) - self._settle({event.event_id for event in page})
        await refill.finish()
        if count:
            log.warning("published %d events of %s again: the bus lost them", count, self.service)

    def _settle(self, taken: set[str]) -> int:
        """Takes from the queue what went along, and answers how many that were."""
        waiting = [event for event in self._queue if event.event_id not in taken]
        settled = [event.event_id for event in self._queue if event.event_id in taken]
        self._queue[:] = waiting
        self._published.extend(settled)
        self._marking.set()
        return len(settled)

    async def _lost(self, since: datetime | None, after: str) -> list[event_pb2.Event]:
        return await self.database.read(lambda tx: outbox.lost(tx, since, after, LARGEST_BATCH))

    async def _mark_loop(self) -> None:
        while True:
            await self._marking.wait()
            self._marking.clear()
            # Marking late and together saves a commit for each batch; the price of a crash in
            # between is a repeat, which consumers know by its id.
            await self.clock.sleep(MARK_S)
            await self._mark()

    async def _mark(self) -> None:
        while done := self._published[:LARGEST_BATCH]:
            del self._published[: len(done)]
            try:
                await self.database.write(lambda tx, done=done: outbox.mark(tx, done))
            except Exception:  # noqa: BLE001
                log.warning("could not mark %d published events; they will repeat", len(done))
                self._published.extend(done)
                self._marking.set()
                return
            self._in_hand.difference_update(done)

    async def _tidy_loop(self) -> None:
        while True:
            await self.clock.sleep(TIDY_S)
            try:
                await self.bus.tidy(self.service)
                await self.database.write(outbox.expire)
            except BusUnavailable:
                continue
            except Exception:
                log.exception("could not tidy the outbox")
