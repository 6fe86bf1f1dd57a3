"""What a task, a person and an organisation ask of totp, in one line each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from libs import context, ids
from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1 import totp_pb2_grpc
from tests.support.mesh import Running

STUB = totp_pb2_grpc.TotpServiceStub
MAILBOX = "jo@mail.test"


@dataclass
class Asking:
    """One organisation's view of a service."""

    service: Running
    organization: str

    @classmethod
    def fresh(cls, service: Running) -> Asking:
        """An organisation of its own, so that tests of one service do not meet."""
        return cls(service, f"org_{ids.token(4)}")

    @property
    def gateway(self) -> Any:
        """The service as the edge calls it."""
        return self.service.stub(STUB, as_="gateway", organization=self.organization)

    @property
    def task(self) -> Any:
        """The service as a task calls it."""
        return self.service.stub(STUB, as_="task", organization=self.organization)

    async def open(self, run_id: str = "", **fields: Any) -> pb.Challenge:
        """Opens a challenge."""
        with context.bind(run_id=run_id):
            request = pb.OpenChallengeRequest(**{"identifier": MAILBOX, **fields})
            return (await self.task.OpenChallenge(request)).challenge

    async def push(self, content: str, **fields: Any) -> pb.SubmitMessageResponse:
        """Hands a message in."""
        whole = {"identifier": MAILBOX, "content": content, **fields}
        return await self.gateway.SubmitMessage(pb.SubmitMessageRequest(**whole))

    async def claimed(self, challenge: pb.Challenge, wait_s: float = 10) -> pb.ClaimCodeResponse:
        """Waits for a code and claims it."""
        request = pb.ClaimCodeRequest(challenge_id=challenge.challenge_id)
        request.wait.FromTimedelta(timedelta(seconds=wait_s))
        return await self.task.ClaimCode(request)

    async def claim(self, challenge: pb.Challenge, wait_s: float = 10) -> str:
        """The code of a challenge."""
        return (await self.claimed(challenge, wait_s)).code

    async def reject(self, challenge: pb.Challenge) -> pb.Challenge:
        """Says that the site refused the code."""
        request = pb.RejectCodeRequest(challenge_id=challenge.challenge_id)
        return (await self.task.RejectCode(request)).challenge

    async def state(self, challenge: pb.Challenge) -> int:
        """The state of a challenge."""
        request = pb.GetChallengeRequest(challenge_id=challenge.challenge_id)
        return (await self.gateway.GetChallenge(request)).challenge.state

    async def messages(self, **fields: Any) -> list[pb.Message]:
        """The messages that came."""
        return list((await self.gateway.ListMessages(pb.ListMessagesRequest(**fields))).messages)
