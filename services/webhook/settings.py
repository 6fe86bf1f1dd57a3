"""Settings of webhook."""

from __future__ import annotations

from pydantic import Field

from libs.settings import Settings


class WebhookSettings(Settings):
    """What the replicas of this service are told, from PODIUM_* variables."""

    webhook_concurrency: int = Field(
        128, ge=1, description="deliveries a replica has under way at once"
    )
    webhook_endpoint_concurrency: int = Field(
        8, ge=1, description="deliveries to one endpoint under way at once, over all replicas"
    )
    webhook_connect_timeout_s: float = Field(3.0, gt=0)
    webhook_total_timeout_s: float = Field(
        15.0, gt=0, description="the longest an attempt may last, with the answer's body"
    )
    webhook_schedule_scale: float = Field(
        1.0, ge=0, description="multiplies the waits of the retry schedule; below 1 for tests"
    )

    @property
    def organization_concurrency(self) -> int:
        """Half of the places: one organisation cannot fill a replica."""
        return max(1, self.webhook_concurrency // 2)
