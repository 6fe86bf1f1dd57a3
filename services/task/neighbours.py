"""The ports over the mesh: browser_session for pages and files, totp for credentials and codes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from libs import errors
from libs.secrets import Secret
from services.task import wire
from services.task.domain import Reason, TaskFailure
from services.task.ports import Artifact, Credential, File, Given, Wanted

# Beyond the wait that the callee keeps itself, so that its own answer arrives first.
MARGIN_S = 5.0
# What Playwright takes without a path.
HOLDER = "actions of a call"
LARGEST_FILE_BYTES = 50 * 1024 * 1024


class MeshSession:
    """The session a task's page lives in."""

    def __init__(self, stub: Any, browser_session_id: str) -> None:
        self._stub = stub
        self._session_id = browser_session_id

    async def screenshot(self, name: str, *, full_page: bool) -> Artifact:
        """A picture, kept by browser_session."""
        answer = await self._stub.CaptureScreenshot(
            wire.screenshot(self._session_id, name, full_page)
        )
        return wire.artifact(answer.artifact)

    async def download(self, trigger: Callable[[], Awaitable[None]], timeout_s: float) -> Artifact:
        """The next file after those that are there before `trigger`."""
        listed = await self._stub.ListArtifacts(wire.newest_artifact(self._session_id))
        newest = listed.artifacts[0].artifact_id if listed.artifacts else ""
        await trigger()
        try:
            answer = await self._stub.AwaitDownload(
                wire.await_download(self._session_id, newest, timeout_s),
                timeout=timeout_s + MARGIN_S,
            )
        except errors.DeadlineExceeded:
            raise TaskFailure(
                Reason.DOWNLOAD_FAILED, f"no file arrived within {timeout_s:g} s"
            ) from None
        return wire.artifact(answer.artifact)

    async def file(self, artifact_id: str) -> File:
        """The bytes of an artifact; no more of them than the browser driver takes."""
        try:
            found = (await self._stub.GetArtifact(wire.get_artifact(artifact_id))).artifact
            if found.size_bytes > LARGEST_FILE_BYTES:
                raise TaskFailure(
                    Reason.UPLOAD_FAILED, f"{artifact_id} is larger than {LARGEST_FILE_BYTES} bytes"
                )
            pieces = self._stub.GetArtifactContent(wire.artifact_content(artifact_id))
            data = b"".join([piece.data async for piece in pieces])
        except errors.NotFound:
            raise TaskFailure(Reason.UPLOAD_FAILED, f"there is no artifact {artifact_id}") from None
        return File(found.name, found.content_type, data)


class Wheel:
    """The wheel of a session: whoever holds it acts in its page, and nobody else."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    @asynccontextmanager
    async def held(
        self, browser_session_id: str, control_id: str, for_s: float
    ) -> AsyncIterator[str]:
        """The control that the caller has, or one for the length of the block."""
        if control_id:
            yield control_id
            return
        found = (await self._stub.GetSession(wire.get_session(browser_session_id))).session
        if run_id := wire.run_that_holds(found):
            # A run that is given the session from now on waits for the wheel.
            raise errors.FailedPrecondition(
                f"browser session {browser_session_id} is given to {run_id}; take its control",
                reason="SESSION_OCCUPIED",
            )
        request = wire.take_control(browser_session_id, HOLDER, for_s + MARGIN_S)
        taken = (await self._stub.TakeControl(request)).control.control_id
        try:
            yield taken
        finally:
            # If this does not arrive, the control ends by itself.
            with suppress(errors.PodiumError):
                await self._stub.ReturnControl(wire.return_control(browser_session_id, taken))


class MeshCodes:
    """Credentials and codes of the totp service."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub

    async def credential(self, credential_id: str) -> Credential:
        """User name and password, at the moment they are typed."""
        try:
            found = await self._stub.ResolveCredential(wire.resolve(credential_id))
        except errors.NotFound:
            raise _unknown(credential_id) from None
        return Credential(found.username, Secret(found.password), found.has_totp)

    async def code(self, wanted: Wanted) -> Given:
        """A one-time code, waited for without asking again and again."""
        with _explaining(wanted.credential_id, wanted.timeout_s):
            opened = await self._stub.OpenChallenge(wire.open_challenge(wanted))
            challenge_id = opened.challenge.challenge_id
            try:
                return await self._claimed(challenge_id, wanted.timeout_s)
            except errors.FailedPrecondition as error:
                if error.reason != "CODE_EXPIRED":
                    raise
                # It ran out in the hands of an agent that was interrupted.
                await self._stub.RejectCode(wire.reject_code(challenge_id))
                return await self._claimed(challenge_id, wanted.timeout_s)

    async def another(self, refused: Given, timeout_s: float) -> Given | None:
        """The next code of the same challenge."""
        with _explaining("", timeout_s):
            try:
                await self._stub.RejectCode(wire.reject_code(refused.challenge_id))
            except errors.FailedPrecondition as error:
                if error.reason == "CODES_REJECTED":
                    return None
                # Said before, in a call whose answer was lost.
                if error.reason != "CODE_NOT_CLAIMED":
                    raise
            return await self._claimed(refused.challenge_id, timeout_s)

    async def _claimed(self, challenge_id: str, timeout_s: float) -> Given:
        claimed = await self._stub.ClaimCode(
            wire.claim_code(challenge_id, timeout_s), timeout=timeout_s + MARGIN_S
        )
        return Given(challenge_id, Secret(claimed.code), Secret(claimed.link))


@contextmanager
def _explaining(credential_id: str, timeout_s: float) -> Iterator[None]:
    """Turns what totp refuses into the reason why the login failed."""
    try:
        yield
    except errors.NotFound:
        raise _unknown(credential_id) from None
    except errors.DeadlineExceeded:
        raise TaskFailure(
            Reason.CODE_NOT_AVAILABLE, f"no one-time code arrived within {timeout_s:g} s"
        ) from None
    except (errors.FailedPrecondition, errors.Invalid) as error:
        raise TaskFailure(
            Reason.CODE_NOT_AVAILABLE, f"there is no one-time code: {error.message}"
        ) from None


def _unknown(credential_id: str) -> TaskFailure:
    return TaskFailure(Reason.NO_CREDENTIAL, f'there is no credential "{credential_id}"')
