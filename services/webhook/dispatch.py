"""The delivery engine: one unit of work records what has ended and takes what is next.

Turns go on as long as there is something to do, and wait for a hint otherwise. While one commits,
messages go out and answers gather, so that the busier it is the more fits one commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from libs import context, ids
from libs.clock import Clock
from libs.db import Database, Tx
from libs.rpc.mesh import Mesh
from libs.signals import Signals, Subscription
from libs.stopping import stop, together
from services.webhook import domain, store
from services.webhook.delivery import Courier
from services.webhook.domain import Attempt, Job, Verdict
from services.webhook.health import Breakers
from services.webhook.settings import WebhookSettings

SWEEP_S = 1.0
# A limit of so many messages a second is not waited for more finely than this.
SHORTEST_WAIT_S = 0.02
MOST_RESULTS = 256
_AGAIN_S = 0.5
log = logging.getLogger(__name__)


class Dispatcher:
    """Claims deliveries, has them sent, and records how it went, in batches."""

    def __init__(self, mesh: Mesh, courier: Courier, settings: WebhookSettings) -> None:
        self._database: Database = mesh.db
        self._signals: Signals = mesh.signals
        self._clock: Clock = mesh.clock
        self._owner = mesh.replica
        self._courier = courier
        self._settings = settings
        self._rules = store.Rules(settings.patience, settings.webhook_schedule_scale)
        self._breakers = Breakers()
        self._active: dict[str, tuple[Job, asyncio.Task[None]]] = {}
        self._ended: deque[store.Result] = deque()
        self._hints: Subscription | None = None
        self._turning: asyncio.Task[float] | None = None
        self._draining = False
        self._renewed_at = self._clock.monotonic()

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            await together(self._turn_loop(), self._renew_loop(), self._expire_loop())
        finally:
            await self.drain()

    async def drain(self) -> None:
        """Stops claiming, records what has ended, and hands the rest back for others to send."""
        self._draining = True
        if self._turning is not None:
            await asyncio.wait([self._turning])
        held = [job for job, _task in self._active.values()]
        await stop(task for _job, task in list(self._active.values()))
        ended = {result.job.delivery_id for result in self._ended}
        interrupted = [job for job in held if job.delivery_id not in ended]
        self._active.clear()
        if not held and not self._ended:
            return
        results = list(self._ended)
        self._ended.clear()

        def unit(tx: Tx) -> None:
            store.finish(tx, results, self._rules)
            store.hand_back(tx, interrupted)
            tx.notify(store.DUE)

        await self._database.write(unit)

    async def _turn_loop(self) -> None:
        async with self._signals.subscribe(store.DUE) as self._hints:
            while not self._draining:
                # A task of its own: what was taken when a cancellation comes is not forgotten.
                self._turning = asyncio.create_task(self._turn(), name="webhook-turn")
                try:
                    wait_s = await asyncio.shield(self._turning)
                except Exception as error:  # noqa: BLE001
                    log.warning("webhook-delivery: %s", error)
                    await self._clock.sleep(_AGAIN_S)
                    continue
                if not self._ended:
                    await self._hints.wait(wait_s)

    async def _turn(self) -> float:
        """Records and claims once; answers how long there is nothing to do unless hinted."""
        results = [self._ended.popleft() for _ in range(min(len(self._ended), MOST_RESULTS))]
        if not results and not await self._database.read(store.anything_due):
            return SWEEP_S
        slots = self._settings.webhook_concurrency - len(self._active)
        try:
            claim = await self._database.write(lambda tx: self._unit(tx, results, slots))
        except BaseException:
            self._ended.extendleft(reversed(results))
            raise
        if not self._active:
            self._renewed_at = self._clock.monotonic()
        for job in claim.jobs:
            self._begin(job)
        if claim.again:
            return 0.0
        if claim.wait_s is None:
            return SWEEP_S
        return min(SWEEP_S, max(claim.wait_s, SHORTEST_WAIT_S))

    def _unit(self, tx: Tx, results: list[store.Result], slots: int) -> store.Claim:
        store.finish(tx, results, self._rules)
        if slots <= 0 or self._draining:
            return store.Claim([], None)
        settings = self._settings
        limits = store.Limits(
            slots, settings.webhook_endpoint_concurrency, settings.organization_concurrency
        )
        return store.claim(tx, limits, self._owner, settings.lease_ttl_s)

    def _begin(self, job: Job) -> None:
        if job.delivery_id in self._active:
            # Its lease ran out while this very replica was sending it.
            self._active[job.delivery_id][1].cancel()
        task = asyncio.create_task(self._carry_out(job), name="webhook-send")
        self._active[job.delivery_id] = (job, task)

    async def _carry_out(self, job: Job) -> None:
        try:
            await self._send(job)
        except Exception:
            # Nothing is known about it: the lease runs out and it is sent again.
            log.exception("could not send delivery %s", job.delivery_id)
        finally:
            if self._active.get(job.delivery_id, (None,))[0] is job:
                del self._active[job.delivery_id]
            if self._hints is not None:
                self._hints.wake()

    async def _send(self, job: Job) -> None:
        attempt = await self._courier.send(job)
        scale = self._settings.webhook_schedule_scale
        verdict = domain.verdict(attempt, job.tries + 1, ids.fraction(), scale)
        tripping = self._breakers.record(
            job.endpoint_id, not attempt.error_class, self._clock.monotonic()
        )
        self._ended.append(store.Result(job, attempt, verdict, tripping))
        if attempt.error_class:
            _note(job, attempt, verdict)

    async def _renew_loop(self) -> None:
        """Prolongs the leases of what is under way; what has lost its cover is given up."""
        ttl_s = self._settings.lease_ttl_s
        while True:
            await self._clock.sleep(ttl_s / 4)
            asked_at = self._clock.monotonic()
            held = [job for job, _task in self._active.values()]
            if not held:
                self._renewed_at = asked_at
                continue
            left_s = self._renewed_at + ttl_s - asked_at
            if left_s <= 0:
                # This process stood still or the database was away: others may have taken over.
                self._renewed_at = asked_at
                for _job, task in list(self._active.values()):
                    task.cancel()
                continue
            try:
                async with asyncio.timeout(left_s):
                    await self._database.write(
                        lambda tx, held=held: store.renew(tx, held, self._owner, ttl_s)
                    )
                self._renewed_at = asked_at
            except Exception as error:  # noqa: BLE001
                log.warning("webhook-delivery could not renew: %r", error)

    async def _expire_loop(self) -> None:
        while True:
            await self._clock.sleep(60.0)
            try:
                while await self._database.write(self._expire):
                    await self._clock.sleep(_AGAIN_S)
            except Exception as error:  # noqa: BLE001
                log.warning("could not remove old deliveries: %s", error)

    def _expire(self, tx: Tx) -> int:
        return store.expire(tx, self._settings.retention)


def _note(job: Job, attempt: Attempt, verdict: Verdict) -> None:
    with context.bind(organization_id=job.organization_id, run_id=job.run_id):
        log.info(
            "delivery %s of %s: %s after try %d (%s)",
            job.delivery_id,
            job.event_type,
            verdict.state,
            job.tries + 1,
            attempt.error_message,
        )
