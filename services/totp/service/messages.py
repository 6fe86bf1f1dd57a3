"""Calls about messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from libs import context, errors, ids, pages
from libs.db import Database
from libs.secrets import Secret, Vault
from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1 import totp_pb2_grpc
from services.totp import domain, wire
from services.totp.intake import Arrival, Intake
from services.totp.store import messages


class MessageCalls(totp_pb2_grpc.TotpServiceServicer):
    """Taking messages in, and showing what came."""

    _db: Database
    _vault: Vault
    _intake: Intake

    async def SubmitMessage(
        self, request: pb.SubmitMessageRequest, _context: Any
    ) -> pb.SubmitMessageResponse:
        organization_id = context.organization()
        arrival = Arrival(
            organization_id=organization_id,
            identifier=_addressee(request),
            source=wire.source(request.source),
            content=Secret(domain.checked_content(request.content)),
            run_id=request.run_id,
            challenge_id=request.challenge_id,
        )
        received = await self._intake.take(arrival)
        # Whether somebody has it already is told by ListMessages; here it is what was found.
        state = wire.message_state(replace(received, claimed_by=""))
        return pb.SubmitMessageResponse(message_id=received.message_id, state=state)

    async def ListMessages(
        self, request: pb.ListMessagesRequest, _context: Any
    ) -> pb.ListMessagesResponse:
        """What came in the last minutes; of unsure messages, the redacted text."""
        organization_id = context.organization()
        size, before = pages.size(request.page_size), pages.after(request.page_token)
        wire.check_message_state(request.state)
        found = await self._db.read(lambda tx: messages.page(tx, organization_id, before, size + 1))
        shown, more = pages.cut(found, size, lambda pair: (pair[0].message_id,))
        answered = [
            wire.message(one, messages.open_redacted(self._vault, one, sealed))
            for one, sealed in shown
            if request.state in (0, wire.message_state(one))
        ]
        return pb.ListMessagesResponse(messages=answered, next_page_token=more)


def _addressee(request: pb.SubmitMessageRequest) -> str:
    """Where a message arrived; may be empty when it names its challenge."""
    if request.run_id:
        ids.check("run_id", "run", request.run_id)
    identifier = domain.normalised_identifier("identifier", request.identifier)
    if request.challenge_id:
        ids.check("challenge_id", "chal", request.challenge_id)
    elif not identifier:
        raise errors.Invalid("identifier", "is required when challenge_id is not given")
    return identifier
