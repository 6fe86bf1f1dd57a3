"""Calls about challenges: opened, watched, claimed, canceled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from libs import context, errors, ids, pages
from libs.db import Database, Tx
from libs.secrets import Vault
from libs.wire import span, timestamp
from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1 import totp_pb2_grpc
from services.totp import domain, links, matching, wire
from services.totp.claims import Claims
from services.totp.domain import Challenge, Credential, State
from services.totp.service.credentials import named
from services.totp.store import challenges


class ChallengeCalls(totp_pb2_grpc.TotpServiceServicer):
    """The waits for codes."""

    _db: Database
    _vault: Vault
    _claims: Claims

    async def ListChallenges(
        self, request: pb.ListChallengesRequest, _context: Any
    ) -> pb.ListChallengesResponse:
        organization_id = context.organization()
        size, before = pages.size(request.page_size), pages.after(request.page_token)
        state = wire.state(request.state)
        run_id = ids.check("run_id", "run", request.run_id) if request.run_id else ""

        def query(tx: Tx) -> list[Challenge]:
            found = challenges.page(tx, organization_id, state, run_id, before, size + 1)
            return [challenge.seen_at(tx.now) for challenge in found]

        found = await self._db.read(query)
        shown, more = pages.cut(found, size, lambda one: (one.challenge_id,))
        return pb.ListChallengesResponse(
            challenges=map(wire.challenge, shown), next_page_token=more
        )

    async def GetChallenge(
        self, request: pb.GetChallengeRequest, _context: Any
    ) -> pb.GetChallengeResponse:
        """One challenge."""
        organization_id = context.organization()
        challenge_id = ids.check("challenge_id", "chal", request.challenge_id)
        found = await self._db.read(lambda tx: _known(tx, organization_id, challenge_id))
        return pb.GetChallengeResponse(challenge=wire.challenge(found))

    async def WatchChallenge(
        self, request: pb.WatchChallengeRequest, _context: Any
    ) -> AsyncIterator[pb.WatchChallengeResponse]:
        """The challenge now and at each change, until it is closed."""
        challenge_id = ids.check("challenge_id", "chal", request.challenge_id)
        async for seen in self._claims.watch(context.organization(), challenge_id):
            yield pb.WatchChallengeResponse(challenge=wire.challenge(seen))

    async def CancelChallenge(
        self, request: pb.CancelChallengeRequest, _context: Any
    ) -> pb.CancelChallengeResponse:
        """Ends one challenge."""
        organization_id = context.organization()
        challenge_id = ids.check("challenge_id", "chal", request.challenge_id)

        def unit(tx: Tx) -> Challenge:
            found = _known(tx, organization_id, challenge_id)
            canceled = found.state in domain.OPEN and matching.cancel(tx, found)
            return replace(found, state=State.CANCELED) if canceled else found

        return pb.CancelChallengeResponse(challenge=wire.challenge(await self._db.write(unit)))

    async def RejectCode(
        self, request: pb.RejectCodeRequest, _context: Any
    ) -> pb.RejectCodeResponse:
        """The site refused the code: wait for another."""
        challenge_id = ids.check("challenge_id", "chal", request.challenge_id)
        waits = await self._claims.reject(
            context.organization(), challenge_id, context.current().run_id
        )
        return pb.RejectCodeResponse(challenge=wire.challenge(waits))

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
        link_hosts = links.checked_hosts("link_hosts", list(request.link_hosts))

        def unit(tx: Tx) -> Challenge:
            if request.request_id:
                known = challenges.find_request(tx, organization_id, request.request_id)
                if known is not None:
                    return known.seen_at(tx.now)
            credential = None
            if request.credential_id:
                credential, _ = named(tx, organization_id, request.credential_id)
            times = domain.opening_times(tx.now, not_before, timeout)
            asked = _Asked(identifier, request.request_id, times, link_hosts)
            return _opened(tx, credential, asked)

        opened = await self._db.write(unit)
        return pb.OpenChallengeResponse(challenge=wire.challenge(opened))

    async def ClaimCode(self, request: pb.ClaimCodeRequest, _context: Any) -> pb.ClaimCodeResponse:
        challenge_id = ids.check("challenge_id", "chal", request.challenge_id)
        wait = span("wait", request.wait) if request.HasField("wait") else None
        code = await self._claims.claim(
            context.organization(), challenge_id, context.current().run_id, wait
        )
        return pb.ClaimCodeResponse(
            code=code.value.reveal(),
            valid_until=timestamp(code.valid_until),
            link=code.link.reveal(),
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


def _known(tx: Tx, organization_id: str, challenge_id: str) -> Challenge:
    found = challenges.find(tx, organization_id, challenge_id)
    if found is None:
        raise errors.NotFound("challenge", challenge_id)
    return found.seen_at(tx.now)


@dataclass(frozen=True)
class _Asked:
    """What a task asks for when it opens a challenge, checked."""

    identifier: str
    request_id: str
    times: tuple[datetime, datetime]
    link_hosts: list[str]


def _opened(tx: Tx, credential: Credential | None, asked: _Asked) -> Challenge:
    """Writes a new challenge, announces it, and gives it a code that came early."""
    present = context.current()
    generated = credential is not None and credential.has_seed and not asked.identifier
    usual = credential.identifier if credential and not generated else ""
    challenge = Challenge(
        challenge_id=ids.new("chal"),
        organization_id=present.organization_id,
        state=State.AVAILABLE if generated else State.WAITING,
        request_id=asked.request_id,
        credential_id=credential.credential_id if credential else "",
        identifier=asked.identifier or usual,
        run_id=present.run_id,
        task_id=present.task_id,
        not_before=asked.times[0],
        created_at=tx.now,
        expires_at=asked.times[1],
        link_hosts=asked.link_hosts,
        generated=generated,
        patience_s=(asked.times[1] - tx.now).total_seconds(),
    )
    challenges.insert(tx, challenge)
    matching.announce(tx, "totp.required", challenge)
    if generated:
        matching.announce(tx, "totp.available", challenge)
    elif matching.look_back(tx, challenge):
        return replace(challenge, state=State.AVAILABLE)
    else:
        tx.notify(matching.opened_topic(present.organization_id))
    return challenge
