"""Calls about credentials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from libs import context, errors, ids, pages
from libs.db import Database, Tx
from libs.secrets import Secret, Vault
from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1 import totp_pb2_grpc
from services.totp import domain, matching, otp, wire
from services.totp.domain import Credential
from services.totp.store import challenges, credentials


class CredentialCalls(totp_pb2_grpc.TotpServiceServicer):
    """Keeping, changing and reading credentials."""

    _db: Database
    _vault: Vault

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
        folder = domain.checked_folder(request.folder)

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
                rotated_at=tx.now,
                folder=folder,
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
            lambda tx: named(tx, organization_id, request.credential_id)
        )
        return pb.GetCredentialResponse(credential=wire.credential(credential))

    async def UpdateCredential(
        self, request: pb.UpdateCredentialRequest, _context: Any
    ) -> pb.UpdateCredentialResponse:
        """Changes what is given; a new secret counts up the version."""
        organization_id = context.organization()
        changes = _changes(request)
        longest = domain.LONGEST_SECRET
        password = Secret(domain.checked_text("password", request.password, longest))
        seed = _seed(request.totp_seed)

        def unit(tx: Tx) -> Credential:
            before, sealed = named(tx, organization_id, request.credential_id)
            if request.version and request.version != before.version:
                raise errors.FailedPrecondition(
                    f"the credential is at version {before.version}", reason="VERSION_CHANGED"
                )
            after = replace(before, **changes)
            fresh = credentials.seal(self._vault, before, password, seed)
            if request.HasField("password"):
                sealed = replace(sealed, password=fresh.password)
            if request.HasField("totp_seed"):
                sealed = replace(sealed, seed=fresh.seed)
            if request.HasField("password") or request.HasField("totp_seed"):
                after = replace(after, version=before.version + 1, rotated_at=tx.now)
            after = replace(
                after,
                has_password=sealed.password is not None,
                has_seed=sealed.seed is not None,
            )
            credentials.change(tx, before, after, sealed)
            return after

        return pb.UpdateCredentialResponse(credential=wire.credential(await self._db.write(unit)))

    async def ListCredentials(
        self, request: pb.ListCredentialsRequest, _context: Any
    ) -> pb.ListCredentialsResponse:
        organization_id = context.organization()
        size, after = pages.size(request.page_size), pages.after(request.page_token)
        folder = domain.checked_folder(request.folder)
        found = await self._db.read(
            lambda tx: credentials.page(tx, organization_id, folder, after, size + 1)
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
            credential, sealed = named(tx, organization_id, request.credential_id)
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


def _changes(request: pb.UpdateCredentialRequest) -> dict[str, str]:
    """The fields without secrets that are given, checked."""
    changes: dict[str, str] = {}
    if request.HasField("name"):
        changes["name"] = domain.checked_name(request.name)
    if request.HasField("username"):
        longest = domain.LONGEST_TEXT
        changes["username"] = domain.checked_text("username", request.username, longest)
    if request.HasField("totp_identifier"):
        identifier = domain.normalised_identifier("totp_identifier", request.totp_identifier)
        changes["identifier"] = identifier
    if request.HasField("folder"):
        changes["folder"] = domain.checked_folder(request.folder)
    return changes


def _seed(text: str) -> otp.Seed | None:
    if not text:
        return None
    if len(text) > domain.LONGEST_SECRET:
        raise errors.Invalid("totp_seed", f"must be at most {domain.LONGEST_SECRET} characters")
    try:
        return otp.parse_seed(text)
    except otp.SeedError as error:
        raise errors.Invalid("totp_seed", str(error)) from None


def named(tx: Tx, organization_id: str, id_or_name: str) -> tuple[Credential, credentials.Sealed]:
    """A credential by id or name, or NotFound."""
    if not id_or_name:
        raise errors.Invalid("credential_id", "is required")
    found = credentials.find(tx, organization_id, id_or_name)
    if found is None:
        raise errors.NotFound("credential", id_or_name[: domain.LONGEST_NAME])
    return found
