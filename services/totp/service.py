"""The door for calls: request, domain, response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from libs import context, errors, ids, pages
from libs.clock import Clock
from libs.db import Database, Tx
from libs.rpc.mesh import Mesh
from libs.secrets import Secret, Vault
from libs.signals import Signals
from libs.wire import span, timestamp
from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1 import totp_pb2_grpc
from services.totp import domain, matching, message, otp, timers, wire
from services.totp.claims import Claims
from services.totp.domain import Challenge, Credential, Message, State
from services.totp.events import Reactions
from services.totp.message import Verdict
from services.totp.store import METADATA, challenges, credentials, messages


class TotpService(totp_pb2_grpc.TotpServiceServicer):
    """Credentials, messages and challenges."""

    tables = METADATA

    def __init__(self, database: Database, vault: Vault, signals: Signals, clock: Clock) -> None:
        self._db = database
        self._vault = vault
        self._claims = Claims(database, vault, signals, clock)
        self.subscriptions = Reactions(database).subscriptions()

    @classmethod
    @asynccontextmanager
    async def open(cls, mesh: Mesh) -> AsyncIterator[TotpService]:
        """The service with its sweep running."""
        mesh.spawn(timers.sweep(mesh.db, mesh.clock), "totp-sweep")
        yield cls(mesh.db, mesh.vault, mesh.signals, mesh.clock)

    async def CreateCredential(
        self, request: pb.CreateCredentialRequest, _context: Any
    ) -> pb.CreateCredentialResponse:
        organization_id = context.organization()
        name = domain.checked_name(request.name)
        username = domain.checked_text("username", request.username, domain.LONGEST_TEXT)
        longest = domain.LONGEST_SECRET
        password = Secret(domain.checked_text("password", request.password, longest))
        seed = _seed(request.totp_seed)
        identifier = domain.normalised_identifier("totp_identifier", request.totp_identifier)

        def unit(tx: Tx) -> Credential:
            credential = Credential(
                credential_id=ids.new("cred"),
                organization_id=organization_id,
                name=name,
                username=username,
                identifier=identifier,
                has_password=bool(password),
                has_seed=seed is not None,
                created_at=tx.now,
            )
            sealed = credentials.seal(self._vault, credential, password, seed)
            credentials.insert(tx, credential, sealed)
            return credential

        created = await self._db.write(unit)
        return pb.CreateCredentialResponse(credential=wire.credential(created))

    async def GetCredential(
        self, request: pb.GetCredentialRequest, _context: Any
    ) -> pb.GetCredentialResponse:
        organization_id = context.organization()
        credential, _ = await self._db.read(
            lambda tx: _credential(tx, organization_id, request.credential_id)
        )
        return pb.GetCredentialResponse(credential=wire.credential(credential))

    async def ListCredentials(
        self, request: pb.ListCredentialsRequest, _context: Any
    ) -> pb.ListCredentialsResponse:
        organization_id = context.organization()
        size, after = pages.size(request.page_size), pages.after(request.page_token)
        found = await self._db.read(
            lambda tx: credentials.page(tx, organization_id, after, size + 1)
        )
        shown, more = pages.cut(found, size, lambda one: (one.name,))
        return pb.ListCredentialsResponse(
            credentials=map(wire.credential, shown), next_page_token=more
        )

    async def DeleteCredential(
        self, request: pb.DeleteCredentialRequest, _context: Any
    ) -> pb.DeleteCredentialResponse:
        organization_id = context.organization()
        if not request.credential_id:
            raise errors.Invalid("credential_id", "is required")

        def unit(tx: Tx) -> None:
            found = credentials.find(tx, organization_id, request.credential_id)
            if found is None:
                return
            credential, _ = found
            credentials.delete(tx, credential)
            orphans = challenges.open_of_credential(tx, organization_id, credential.credential_id)
            for challenge in orphans:
                matching.cancel(tx, challenge)

        await self._db.write(unit)
        return pb.DeleteCredentialResponse()

    async def ResolveCredential(
        self, request: pb.ResolveCredentialRequest, _context: Any
    ) -> pb.ResolveCredentialResponse:
        present = context.current()
        organization_id = context.organization()

        def unit(tx: Tx) -> tuple[Credential, Secret]:
            credential, sealed = _credential(tx, organization_id, request.credential_id)
            credentials.audit(
                tx,
                credential,
                "credential.resolved",
                run_id=present.run_id,
                task_id=present.task_id,
                caller=present.caller,
            )
            return credential, credentials.open_password(self._vault, credential, sealed)

        credential, password = await self._db.write(unit)
        return pb.ResolveCredentialResponse(
            username=credential.username,
            password=password.reveal(),
            has_totp=credential.has_seed or bool(credential.identifier),
        )

    async def SubmitMessage(
        self, request: pb.SubmitMessageRequest, _context: Any
    ) -> pb.SubmitMessageResponse:
        organization_id = context.organization()
        content = Secret(domain.checked_content(request.content))
        identifier = _addressee(request)
        source = wire.source(request.source)
        reading = message.read(content.reveal())

        def unit(tx: Tx) -> Message:
            received = Message(
                message_id=ids.new("msg"),
                organization_id=organization_id,
                identifier=identifier,
                run_id=request.run_id,
                challenge_id=request.challenge_id,
                source=source,
                sure=reading.verdict is Verdict.FOUND,
                candidates=reading.candidates,
                received_at=tx.now,
                expires_at=tx.now + domain.MESSAGE_LIFE,
            )
            return self._received(tx, received, Secret(reading.code), content)

        received = await self._db.write(unit)
        state = pb.MESSAGE_STATE_AVAILABLE if received.sure else pb.MESSAGE_STATE_UNSURE
        return pb.SubmitMessageResponse(message_id=received.message_id, state=state)

    def _received(self, tx: Tx, received: Message, code: Secret, content: Secret) -> Message:
        _check_waiting(tx, received)
        messages.insert(tx, self._vault, received, code, content)
        if received.sure:
            matching.offer(tx, received)
        return received

    async def ListChallenges(
        self, request: pb.ListChallengesRequest, _context: Any
    ) -> pb.ListChallengesResponse:
        organization_id = context.organization()
        size, before = pages.size(request.page_size), pages.after(request.page_token)
        state = wire.state(request.state)

        def query(tx: Tx) -> list[Challenge]:
            found = challenges.page(tx, organization_id, state, before, size + 1)
            return [challenge.seen_at(tx.now) for challenge in found]

        found = await self._db.read(query)
        shown, more = pages.cut(found, size, lambda one: (one.challenge_id,))
        return pb.ListChallengesResponse(
            challenges=map(wire.challenge, shown), next_page_token=more
        )

    async def OpenChallenge(
        self, request: pb.OpenChallengeRequest, _context: Any
    ) -> pb.OpenChallengeResponse:
        organization_id = context.organization()
        identifier = domain.normalised_identifier("identifier", request.identifier)
        if not request.credential_id and not identifier:
            raise errors.Invalid("credential_id", "is required when identifier is not given")
        domain.checked_text("request_id", request.request_id, domain.LONGEST_NAME)
        wanted = request.HasField("not_before")
        not_before = wire.moment("not_before", request.not_before) if wanted else None
        limited = request.HasField("timeout")
        timeout = span("timeout", request.timeout) if limited else None

        def unit(tx: Tx) -> Challenge:
            if request.request_id:
                known = challenges.find_request(tx, organization_id, request.request_id)
                if known is not None:
                    return known.seen_at(tx.now)
            credential = None
            if request.credential_id:
                credential, _ = _credential(tx, organization_id, request.credential_id)
            times = domain.opening_times(tx.now, not_before, timeout)
            return _opened(tx, credential, identifier, request.request_id, times)

        opened = await self._db.write(unit)
        return pb.OpenChallengeResponse(challenge=wire.challenge(opened))

    async def ClaimCode(self, request: pb.ClaimCodeRequest, _context: Any) -> pb.ClaimCodeResponse:
        challenge_id = ids.check("challenge_id", "chal", request.challenge_id)
        wait = span("wait", request.wait) if request.HasField("wait") else None
        code = await self._claims.claim(
            context.organization(), challenge_id, context.current().run_id, wait
        )
        return pb.ClaimCodeResponse(
            code=code.value.reveal(), valid_until=timestamp(code.valid_until)
        )

    async def CancelChallenges(
        self, request: pb.CancelChallengesRequest, _context: Any
    ) -> pb.CancelChallengesResponse:
        organization_id = context.organization()
        run_id = ids.check("run_id", "run", request.run_id)

        def unit(tx: Tx) -> int:
            found = challenges.open_of_run(tx, organization_id, run_id)
            return sum(matching.cancel(tx, challenge) for challenge in found)

        return pb.CancelChallengesResponse(canceled_count=await self._db.write(unit))


def _seed(text: str) -> otp.Seed | None:
    if not text:
        return None
    if len(text) > domain.LONGEST_SECRET:
        raise errors.Invalid("totp_seed", f"must be at most {domain.LONGEST_SECRET} characters")
    try:
        return otp.parse_seed(text)
    except otp.SeedError as error:
        raise errors.Invalid("totp_seed", str(error)) from None


def _credential(
    tx: Tx, organization_id: str, id_or_name: str
) -> tuple[Credential, credentials.Sealed]:
    if not id_or_name:
        raise errors.Invalid("credential_id", "is required")
    found = credentials.find(tx, organization_id, id_or_name)
    if found is None:
        raise errors.NotFound("credential", id_or_name[: domain.LONGEST_NAME])
    return found


def _check_waiting(tx: Tx, received: Message) -> None:
    """A code handed in for one challenge is refused when that challenge takes none."""
    if not received.challenge_id:
        return
    challenge = challenges.find(tx, received.organization_id, received.challenge_id)
    if challenge is None:
        raise errors.NotFound("challenge", received.challenge_id)
    if challenge.seen_at(tx.now).state is not State.WAITING:
        raise errors.FailedPrecondition(
            "the challenge does not wait for a code", reason="CHALLENGE_NOT_WAITING"
        )


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


def _opened(
    tx: Tx,
    credential: Credential | None,
    identifier: str,
    request_id: str,
    times: tuple[datetime, datetime],
) -> Challenge:
    """Writes a new challenge, announces it, and gives it a code that came early."""
    present = context.current()
    generated = credential is not None and credential.has_seed and not identifier
    usual = credential.identifier if credential and not generated else ""
    challenge = Challenge(
        challenge_id=ids.new("chal"),
        organization_id=present.organization_id,
        state=State.AVAILABLE if generated else State.WAITING,
        request_id=request_id,
        credential_id=credential.credential_id if credential else "",
        identifier=identifier or usual,
        run_id=present.run_id,
        task_id=present.task_id,
        not_before=times[0],
        created_at=tx.now,
        expires_at=times[1],
        generated=generated,
    )
    challenges.insert(tx, challenge)
    matching.announce(tx, "totp.required", challenge)
    if generated:
        matching.announce(tx, "totp.available", challenge)
    elif matching.look_back(tx, challenge):
        return replace(challenge, state=State.AVAILABLE)
    return challenge
