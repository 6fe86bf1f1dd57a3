"""Settings of webhook."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from libs.settings import Settings


class WebhookSettings(Settings):
    """What the replicas of this service are told, from PODIUM_* variables."""

    webhook_concurrency: int = Field(
        256, ge=1, description="deliveries a replica has under way at once"
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
    webhook_patience_s: float = Field(
        259_200.0, ge=0, description="an endpoint without a success for so long is disabled"
    )
    webhook_retention_days: float = Field(
        30.0, gt=0, description="how long events, deliveries and attempts are kept"
    )
    webhook_ca_file: str = Field(
        "", description="PEM file of further authorities that endpoints' certificates may be from"
    )

    @property
    def organization_concurrency(self) -> int:
        """Half of the places: one organisation cannot fill a replica."""
        return max(1, self.webhook_concurrency // 2)

    @property
    def retention(self) -> timedelta:
        """How long events, deliveries and attempts are kept."""
        return timedelta(days=self.webhook_retention_days)

    @property
    def patience(self) -> timedelta:
        """How long an endpoint may do nothing but fail."""
        return timedelta(seconds=self.webhook_patience_s)
