"""What the gateway is told besides what every process is."""

from __future__ import annotations

from pydantic import Field, SecretStr

from gateway.bulkheads import Room
from libs.settings import Settings

ROOMS = {
    "totp": Room(concurrent=10, queued=50),
    "browser_session": Room(concurrent=20, queued=100),
    "workflow": Room(concurrent=50, queued=200),
}
# Services whose work is in their database.
USUAL_ROOM = Room(concurrent=100, queued=500)


class GatewaySettings(Settings):
    """Addresses, limits and patience of the edge; `listen` is its gRPC address."""

    http_listen: str = Field("127.0.0.1:8081", description='REST address, or "unix:/path"')

    first_api_key: SecretStr = Field(
        SecretStr(""), description="the first organisation's key; empty: one is made, in the home"
    )

    breaker_threshold: int = Field(5, ge=1, description="faults in a row that open a breaker")
    breaker_reset_s: float = Field(60.0, gt=0, description="how long an upstream is left alone")
    bulkheads: dict[str, Room] = Field(
        default_factory=dict, description='per upstream: {"totp": {"concurrent": 5, "queued": 20}}'
    )

    rate_per_s: float = Field(500.0, gt=0, description="calls a second for each API key")
    rate_burst: int = Field(1000, ge=1, description="calls at once after a quiet time")

    key_cache_s: float = Field(10.0, ge=0, description="how late a revoked key may be refused")
    stream_opening_s: float = Field(
        1.0, gt=0, description="a stream that is quiet this long is answered as open"
    )
    keep_alive_s: float = Field(15.0, gt=0, description="between comments on a quiet SSE stream")

    def room(self, upstream: str) -> Room:
        """The bulkhead of an upstream."""
        return self.bulkheads.get(upstream) or ROOMS.get(upstream, USUAL_ROOM)
