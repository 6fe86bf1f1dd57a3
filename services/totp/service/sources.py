"""Calls about sources of codes."""

from __future__ import annotations

from typing import Any

from libs import context, egress, errors, ids, pages
from libs.db import Database, Tx
from libs.egress import EgressRules
from libs.secrets import Secret, Vault
from podium.totp.v1 import totp_pb2 as pb
from podium.totp.v1 import totp_pb2_grpc
from services.totp import domain, wire
from services.totp.domain import CodeSource, MailTarget, PullTarget, Security
from services.totp.sources import pull
from services.totp.store import sources


class SourceCalls(totp_pb2_grpc.TotpServiceServicer):
    """Adding and removing the places where codes are fetched from."""

    _db: Database
    _vault: Vault
    _rules: EgressRules

    async def CreateSource(
        self, request: pb.CreateSourceRequest, _context: Any
    ) -> pb.CreateSourceResponse:
        """Keeps a source; a replica begins to watch it at once."""
        organization_id = context.organization()
        name = domain.checked_name(request.name, "src")
        identifier = domain.normalised_identifier("identifier", request.identifier)
        if not identifier:
            raise errors.Invalid("identifier", "is required")
        target, secret = self._target(request)

        def unit(tx: Tx) -> CodeSource:
            source = CodeSource(
                source_id=ids.new("src"),
                organization_id=organization_id,
                name=name,
                identifier=identifier,
                target=target,
                created_at=tx.now,
            )
            sources.insert(tx, self._vault, source, secret)
            return source

        created = await self._db.write(unit)
        shown = secret.reveal() if isinstance(target, PullTarget) else ""
        return pb.CreateSourceResponse(source=wire.code_source(created), signing_secret=shown)

    def _target(self, request: pb.CreateSourceRequest) -> tuple[MailTarget | PullTarget, Secret]:
        """What is watched and the secret that goes with it, or Invalid."""
        kind = request.WhichOneof("kind")
        if kind == "pull":
            url = egress.check_url(request.pull.url, self._rules, "pull.url")
            return PullTarget(url), Secret(pull.secret_text(ids.random_bytes(pull.SECRET_BYTES)))
        if kind != "mailbox":
            raise errors.Invalid("kind", "give a mailbox or a pull URL")
        mailbox = request.mailbox
        security = wire.security(mailbox.security)
        if security is Security.PLAIN and not self._rules.allow_private_targets:
            raise errors.Invalid("mailbox.security", "must be TLS or STARTTLS")
        target = domain.mail_target(
            mailbox.host, mailbox.port, security, mailbox.username, mailbox.folder
        )
        # The same rules as for URLs judge the host; the port has a rule of its own.
        egress.check_url(f"https://{_in_url(target.host)}/", self._rules, "mailbox.host")
        longest = domain.LONGEST_SECRET
        password = domain.checked_text("mailbox.password", mailbox.password, longest)
        if not password:
            raise errors.Invalid("mailbox.password", "is required")
        return target, Secret(password)

    async def ListSources(
        self, request: pb.ListSourcesRequest, _context: Any
    ) -> pb.ListSourcesResponse:
        """Sources by name."""
        organization_id = context.organization()
        size, after = pages.size(request.page_size), pages.after(request.page_token)
        found = await self._db.read(lambda tx: sources.page(tx, organization_id, after, size + 1))
        shown, more = pages.cut(found, size, lambda one: (one.name,))
        return pb.ListSourcesResponse(sources=map(wire.code_source, shown), next_page_token=more)

    async def DeleteSource(
        self, request: pb.DeleteSourceRequest, _context: Any
    ) -> pb.DeleteSourceResponse:
        """Destroys a source; whoever watches it stops."""
        organization_id = context.organization()
        if not request.source_id:
            raise errors.Invalid("source_id", "is required")

        def unit(tx: Tx) -> None:
            found = sources.find(tx, organization_id, request.source_id)
            if found is not None:
                sources.delete(tx, found)

        await self._db.write(unit)
        return pb.DeleteSourceResponse()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
