"""Stand-ins for the services that task calls: one real browser, one credential, a list of codes."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from libs import errors
from podium.browser_session.v1 import browser_session_pb2 as session_pb
from podium.browser_session.v1 import browser_session_pb2_grpc
from podium.totp.v1 import totp_pb2, totp_pb2_grpc
from tests.support.sites.office import PASSWORD, USERNAME


class OneSession(browser_session_pb2_grpc.BrowserSessionServiceServicer):
    """Hands out the way to one browser, and keeps what comes out of it in memory."""

    def __init__(self, cdp_url: str, channel: Any, downloads: Path) -> None:
        self.cdp_url = cdp_url
        self._channel = channel
        self._downloads = downloads
        self._seen: set[Path] = set()
        self.screenshots: list[str] = []
        self.attached = 0
        self.gone = False

    async def AttachSession(self, request: Any, context: Any) -> session_pb.AttachSessionResponse:
        if self.gone:
            raise errors.FailedPrecondition("the session has ended", reason="SESSION_ENDED")
        self.attached += 1
        return session_pb.AttachSessionResponse(cdp_url=self.cdp_url, token="t")

    async def CaptureScreenshot(
        self, request: Any, context: Any
    ) -> session_pb.CaptureScreenshotResponse:
        self.screenshots.append(request.name)
        number = len(self.screenshots)
        kept = session_pb.Artifact(
            artifact_id=f"art_s{number}", kind="screenshot", name=request.name, size_bytes=1
        )
        return session_pb.CaptureScreenshotResponse(artifact=kept)

    async def ListArtifacts(self, request: Any, context: Any) -> session_pb.ListArtifactsResponse:
        # The driver sets its own download folder when it attaches; the real gateway forbids that.
        await self._channel.send(
            "Browser.setDownloadBehavior",
            {"behavior": "allow", "downloadPath": str(self._downloads), "eventsEnabled": True},
        )
        return session_pb.ListArtifactsResponse()

    async def AwaitDownload(self, request: Any, context: Any) -> session_pb.AwaitDownloadResponse:
        try:
            async with asyncio.timeout(request.wait.ToMilliseconds() / 1000):
                while not (new := set(self._downloads.glob("*.csv")) - self._seen):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise errors.DeadlineExceeded("none") from None
        file = new.pop()
        self._seen.add(file)
        content = file.read_bytes()
        kept = session_pb.Artifact(
            artifact_id="art_d1",
            kind="download",
            name=file.name,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        return session_pb.AwaitDownloadResponse(artifact=kept)


@dataclass
class OneCredential(totp_pb2_grpc.TotpServiceServicer):
    """One credential; its codes come from a list that a test may add to later."""

    codes: list[str] = field(default_factory=list)
    challenges: dict[str, str] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)

    async def ResolveCredential(
        self, request: Any, context: Any
    ) -> totp_pb2.ResolveCredentialResponse:
        if request.credential_id != "shop":
            raise errors.NotFound("credential", request.credential_id)
        return totp_pb2.ResolveCredentialResponse(
            username=USERNAME, password=PASSWORD, has_totp=True
        )

    async def OpenChallenge(self, request: Any, context: Any) -> totp_pb2.OpenChallengeResponse:
        known = self.challenges.setdefault(request.request_id, f"chal_{len(self.challenges)}")
        return totp_pb2.OpenChallengeResponse(challenge=totp_pb2.Challenge(challenge_id=known))

    async def ClaimCode(self, request: Any, context: Any) -> totp_pb2.ClaimCodeResponse:
        number = int(request.challenge_id.removeprefix("chal_"))
        try:
            async with asyncio.timeout(request.wait.ToMilliseconds() / 1000):
                while len(self.codes) <= number:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise errors.DeadlineExceeded("no code") from None
        return totp_pb2.ClaimCodeResponse(code=self.codes[number])

    async def RejectCode(self, request: Any, context: Any) -> totp_pb2.RejectCodeResponse:
        self.rejected.append(request.challenge_id)
        raise errors.FailedPrecondition("no more", reason="CODES_REJECTED")
