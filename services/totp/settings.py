"""Settings of totp."""

from __future__ import annotations

from pydantic import Field

from libs.settings import Settings


class TotpSettings(Settings):
    """What the replicas of this service are told, from PODIUM_* variables."""

    totp_time_server: str = Field(
        "", description="host or host:port of an NTP server that the clock is compared with"
    )
    totp_mail_poll_s: float = Field(
        2.0, gt=0, description="how often a mailbox whose server cannot push (IDLE) is looked at"
    )
    totp_pull_s: float = Field(
        2.0, gt=0, description="how often a URL is asked while a challenge waits"
    )
    totp_sources: int = Field(64, ge=1, description="sources that a replica watches at once")
