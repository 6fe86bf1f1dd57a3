"""Settings of browser_session."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from libs.settings import Settings
from services.browser_session.domain import Kind, Wear
from services.browser_session.pressure import Marks
from services.browser_session.view.limits import Limits

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
    browser_warm: int = Field(
        1, ge=0, le=50, description="browsers kept ready by each replica, besides those in use"
    )
    browser_warm_age_s: float = Field(900.0, description="a ready one older than this is replaced")
    browser_warm_refill_s: float = Field(1.0, description="pause after launching a ready one")
    browser_queue: int = Field(500, ge=1, description="most sessions that wait for a place")
    browser_queue_of_one: int = Field(
        200, ge=1, description="most sessions of one organisation that wait for a place"
    )
    browser_least_free_memory: float = Field(
        8.0, description="percent of memory below which few browsers are started"
    )
    browser_most_stalled: float = Field(
        97.0, description="percent of time that work may wait for a processor before the same"
    )
    browser_most_jobs: int = Field(
        50, ge=1, description="a session that runs share is replaced after this many"
    )
    browser_oldest_s: float = Field(
        3600.0, description="a session that runs share is replaced when it is older"
    )
    browser_most_memory_mib: int = Field(
        1024, description="a session that runs share is replaced when its processes are larger"
    )
    browser_largest_mib: int = Field(
        4096, ge=0, description="any session is ended when its processes are larger; 0: none is"
    )
    browser_weigh_s: float = Field(10.0, gt=0, description="how often that is looked at")
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

    public_url: str = Field(
        "", description='where the edge is reached, such as "https://podium.example"; for links'
    )

    largest_download_mib: int = Field(256, ge=1, description="a larger download is cancelled")
    largest_upload_mib: int = Field(50, ge=1, description="a larger upload is refused")
    refused_files: str = Field(
        "",
        description='names or media types of files not to keep, such as "*.exe, application/zip"',
    )
    artifact_days: float = Field(
        30.0, ge=0, description="how long files are kept; 0: until they are deleted"
    )
    retention_sweep_s: float = Field(60.0, gt=0, description="how often old files are removed")

    record_sessions: str = Field(
        "", description='what is recorded of every session: "console", "har", "recording"'
    )

    @property
    def always_recorded(self) -> frozenset[Kind]:
        """What is recorded of every session."""
        return frozenset(Kind(part.strip()) for part in self.record_sessions.split(",") if part)

    @property
    def limits(self) -> Limits:
        """Which files may be kept, and for how long."""
        return Limits.of(
            self.largest_download_mib,
            self.largest_upload_mib,
            self.refused_files,
            self.artifact_days,
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
    def wear(self) -> Wear:
        """When a session that runs share is replaced."""
        return Wear(self.browser_most_jobs, timedelta(seconds=self.browser_oldest_s))

    @property
    def marks(self) -> Marks:
        """When the machine is under pressure."""
        return Marks(self.browser_least_free_memory, self.browser_most_stalled)

    @property
    def browsers(self) -> Path:
        """Folder of the browsers' own directories; absolute, for it is on their command lines."""
        return (self.home / "browsers").resolve()
