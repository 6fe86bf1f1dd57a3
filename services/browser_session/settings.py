"""Settings of browser_session."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pydantic import Field

from libs.settings import Settings

MEMORY_SHARE = 0.6
MEMORY_OF_A_SESSION_BYTES = 150 * 1024 * 1024
CAPACITY_LIMITS = (2, 64)
EVERY_INTERFACE = ("0.0.0.0", "::", "")


class BrowserSettings(Settings):
    """What the replicas of this service are told, from PODIUM_* variables."""

    chromium: str = Field("", description="the browser binary; empty: the best one found")
    max_sessions: int = Field(0, ge=0, description="browsers at once; 0: by the machine's memory")
    browser_launch_timeout_s: float = 20.0
    cdp_host: str = Field("127.0.0.1", description="interface the CDP gateway listens on")
    cdp_port: int = Field(0, description="port of the CDP gateway; 0: any free one")
    cdp_public_host: str = Field(
        "",
        description="name drivers reach it by; empty: cdp_host, or the host's name if that is any",
    )
    browser_sweep_s: float = Field(1.0, description="how often each replica looks at its sessions")
    browser_silence_s: float = Field(
        3.0, description="a replica silent for longer is taken for dead, its sessions taken over"
    )
    browser_recoveries: int = Field(
        5, ge=0, description="how often a session gets another browser when its own has died"
    )
    profile_every_s: float = Field(
        2.0, description="a browser in use has its profile saved at most this often"
    )

    @property
    def cdp_name(self) -> str:
        """How drivers on other hosts call this one."""
        if self.cdp_public_host or self.cdp_host not in EVERY_INTERFACE:
            return self.cdp_public_host or self.cdp_host
        return socket.gethostname()

    @property
    def capacity(self) -> int:
        """How many browsers may run at once, over all replicas."""
        if self.max_sessions:
            return self.max_sessions
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        low, high = CAPACITY_LIMITS
        return max(low, min(high, int(memory * MEMORY_SHARE / MEMORY_OF_A_SESSION_BYTES)))

    @property
    def browsers(self) -> Path:
        """Folder of the browsers' own directories; absolute, for it is on their command lines."""
        return (self.home / "browsers").resolve()
