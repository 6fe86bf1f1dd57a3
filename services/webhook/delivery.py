"""The delivery engine: carries out due deliveries, one attempt for each claim."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from typing import Any

import aiohttp

from libs import context, egress, errors, ids
from libs.clock import Clock
from libs.db import Database, Tx
from libs.lease import Work
from libs.rpc.mesh import Mesh
from libs.secrets import Vault
from libs.worker import Worker
from services.webhook import domain, signing, store
from services.webhook.domain import Attempt, Lanes, State
from services.webhook.settings import WebhookSettings

USER_AGENT = "Podium-Webhooks/1.0"
_SENTENCES = {
    "timeout": "the endpoint did not answer completely in time",
    "connect": "the connection could not be made or broke",
    "tls": "the endpoint's TLS certificate or handshake was refused",
    "dns": "the endpoint's name could not be resolved",
    "blocked_target": "the endpoint's address is private, local or reserved",
}
log = logging.getLogger(__name__)


def secret_aad(organization_id: str, endpoint_id: str) -> bytes:
    """What a sealed signing secret is tied to."""
    return f"webhook-secret:{organization_id}:{endpoint_id}".encode()


class Courier:
    """Sends claimed deliveries and records how it went."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        client: aiohttp.ClientSession,
        settings: WebhookSettings,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._client = client
        self._settings = settings

    def worker(self, mesh: Mesh) -> Worker:
        """The worker that feeds this courier."""
        return Worker(
            "webhook-delivery",
            database=mesh.db,
            signals=mesh.signals,
            clock=mesh.clock,
            owner=mesh.replica,
            topic=store.DUE,
            table=store.deliveries,
            key_column="delivery_id",
            due=self._due,
            perform=self.perform,
            concurrency=self._settings.webhook_concurrency,
            ttl_s=self._settings.lease_ttl_s,
            order_by=store.deliveries.c.due_at,
        )

    def _due(self, tx: Tx) -> Any:
        settings = self._settings
        lanes = Lanes(settings.webhook_endpoint_concurrency, settings.organization_concurrency)
        return store.due(tx, lanes, settings.webhook_concurrency)

    async def perform(self, work: Work) -> None:
        """One attempt at one delivery."""
        row = work.row
        with context.bind(organization_id=row.organization_id, run_id=row.run_id):
            target = await self._database.read(lambda tx: store.target_of(tx, work))
            if target is None:
                return
            attempt = await self._attempt(work, target)
            verdict = domain.verdict(
                attempt, row.tries + 1, ids.fraction(), self._settings.webhook_schedule_scale
            )
            outcome = await self._database.write(
                lambda tx: self._record(tx, work, attempt, verdict)
            )
            work.released = True
            log.info(
                "delivery %s of %s: %s after attempt %d%s",
                work.key,
                row.event_type,
                outcome.state,
                outcome.attempt_count,
                f" ({attempt.error_message})" if attempt.error_message else "",
            )

    async def _attempt(self, work: Work, target: store.Target) -> Attempt:
        began = self._clock.monotonic()
        attempt = await self._send(work, target, self._clock.now())
        return replace(attempt, duration_ms=round((self._clock.monotonic() - began) * 1000))

    async def _send(self, work: Work, target: store.Target, now: datetime) -> Attempt:
        row, body = work.row, work.row.body.encode()
        key = self._vault.open(target.secret, secret_aad(row.organization_id, row.endpoint_id))
        try:
            # Rules may have become stricter since the endpoint was made.
            egress.check_url(target.url, self._settings)
            answer = await egress.exchange(
                self._client,
                "POST",
                target.url,
                headers={
                    "content-type": "application/json",
                    "user-agent": USER_AGENT,
                    **signing.headers(key, row.event_id, now, body),
                },
                body=body,
                limit=domain.EXCERPT_BYTES,
            )
        except errors.Invalid:
            return _failed(now, "blocked_target")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as failure:
            return _failed(now, egress.classify(failure))
        error_class, sentence, wait_s = domain.judge_answer(
            answer.status, answer.headers.get("Retry-After"), self._clock.now()
        )
        return Attempt(
            started_at=now,
            http_status=answer.status,
            error_class=error_class,
            error_message=sentence,
            response_excerpt=domain.excerpt(answer.body),
            retry_after_s=wait_s,
        )

    def _record(
        self, tx: Tx, work: Work, attempt: Attempt, verdict: domain.Verdict
    ) -> store.Outcome:
        outcome = store.finish(tx, work, attempt, verdict)
        if outcome.decided:
            delivered = outcome.state is State.DELIVERED
            facts = {
                "delivery_id": work.key,
                "endpoint_id": work.row.endpoint_id,
                "event_id": work.row.event_id,
                "event_type": work.row.event_type,
                "attempt_count": outcome.attempt_count,
                "http_status": attempt.http_status,
            }
            if not delivered:
                facts |= {
                    "error_class": attempt.error_class,
                    "error_message": attempt.error_message,
                    "endpoint_disabled": verdict.endpoint_gone,
                }
            tx.publish("webhook.delivered" if delivered else "webhook.failed", facts)
        return outcome


def _failed(started_at: datetime, error_class: str) -> Attempt:
    return Attempt(started_at, error_class=error_class, error_message=_SENTENCES[error_class])
