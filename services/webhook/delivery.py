"""One attempt: a claimed delivery is signed, sent, and what comes back is put into words."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

from libs import egress, errors
from libs.clock import Clock
from libs.secrets import Vault
from services.webhook import certificates, credentials, domain, signing
from services.webhook.credentials import Credentials
from services.webhook.domain import Attempt, Job
from services.webhook.settings import WebhookSettings

USER_AGENT = "Podium-Webhooks/1.0"
_SENTENCES = {
    "timeout": "the endpoint did not answer completely in time",
    "connect": "the connection could not be made or broke",
    "tls": "the endpoint's TLS certificate or handshake was refused",
    "dns": "the endpoint's name could not be resolved",
    "blocked_target": "the endpoint's address is private, local or reserved",
}
MOST_TARGETS = 2_000


@dataclass(frozen=True)
class Target:
    """An endpoint made ready to be sent to."""

    url: str
    allowed: bool
    credentials: Credentials
    sign_v1a: bool
    tls: Any

    def headers(self, job: Job, now: datetime, body: bytes) -> dict[str, str]:
        """Everything that is said beside the body; what is ours comes last and wins."""
        keys = [key for key in self.credentials.keys if key.signs(now)]
        signed = signing.headers(
            (key.secret for key in keys),
            (key.seed for key in keys if self.sign_v1a),
            job.event_id,
            now,
            body,
        )
        ours = {"content-type": "application/json", "user-agent": USER_AGENT}
        return {**self.credentials.headers, **ours, **signed}


class Courier:
    """Sends claimed deliveries and says how it went."""

    def __init__(
        self, vault: Vault, clock: Clock, client: aiohttp.ClientSession, settings: WebhookSettings
    ) -> None:
        self._vault = vault
        self._clock = clock
        self._client = client
        self._settings = settings
        self._targets: OrderedDict[tuple[str, int], Target] = OrderedDict()
        self._tls = (
            certificates.tls_context(settings.webhook_ca_file) if settings.webhook_ca_file else None
        )

    async def send(self, job: Job) -> Attempt:
        """One attempt; whatever goes wrong is in what it answers."""
        began, now = self._clock.monotonic(), self._clock.now()
        target = self._target(job.endpoint)
        if not target.allowed:
            return _failed(now, 0, "blocked_target")
        body = job.body.encode()
        try:
            answer = await egress.exchange(
                self._client,
                "POST",
                target.url,
                headers=target.headers(job, now, body),
                body=body,
                limit=domain.EXCERPT_BYTES,
                tls=target.tls,
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as failure:
            return _failed(now, self._since_ms(began), egress.classify(failure))
        error_class, sentence, wait_s = domain.judge_answer(
            answer.status, answer.headers, self._clock.now()
        )
        return Attempt(
            started_at=now,
            duration_ms=self._since_ms(began),
            http_status=answer.status,
            error_class=error_class,
            error_message=sentence,
            response_excerpt=domain.excerpt(answer.body),
            retry_after_s=wait_s,
            first_byte_ms=max(1, round(answer.first_byte_s * 1000)),
        )

    def _since_ms(self, began: float) -> int:
        return round((self._clock.monotonic() - began) * 1000)

    def _target(self, endpoint: Any) -> Target:
        """The endpoint as of this version, unsealed once."""
        key = (endpoint.endpoint_id, endpoint.version)
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = self._prepared(endpoint)
            if len(self._targets) > MOST_TARGETS:
                self._targets.popitem(last=False)
        return target

    def _prepared(self, endpoint: Any) -> Target:
        kept = credentials.unseal(self._vault, endpoint)
        try:
            # Rules may have become stricter since the endpoint was made.
            egress.check_url(endpoint.url, self._settings)
            allowed = True
        except errors.Invalid:
            allowed = False
        tls = self._tls
        if kept.certificate_pem:
            tls = certificates.tls_context(
                self._settings.webhook_ca_file, kept.certificate_pem, kept.private_key_pem
            )
        return Target(endpoint.url, allowed, kept, endpoint.sign_v1a, tls)


def _failed(started_at: datetime, duration_ms: int, error_class: str) -> Attempt:
    sentence = _SENTENCES[error_class]
    return Attempt(started_at, duration_ms, error_class=error_class, error_message=sentence)
