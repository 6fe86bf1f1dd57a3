"""The part of the door that is about files: listing, reading, uploads, signed addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

import grpc
from google.api import httpbody_pb2

from libs import context as contexts
from libs import errors, ids, pages
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session import store
from services.browser_session import wire as sessions_wire
from services.browser_session.tokens import InvalidToken
from services.browser_session.view import wire
from services.browser_session.view.links import Link
from services.browser_session.view.rights import Right
from services.browser_session.view.service.outside import Outside
from services.browser_session.view.uploads import Piece


class FileRpcs:
    """Files that came out of sessions or come in, and how they are handed on."""

    _outside: Outside

    async def ListArtifacts(
        self, request: pb.ListArtifactsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListArtifactsResponse:
        organization, size = contexts.organization(), pages.size(request.page_size)
        run_id, session_id = request.run_id, request.browser_session_id
        if run_id:
            ids.check("run_id", "run", run_id)
        if session_id:
            ids.check("browser_session_id", "bs", session_id)
        before = sessions_wire.page_start(request.page_token)
        rows = await self._outside.db.read(
            lambda tx: store.artifacts.page(tx, organization, run_id, session_id, before, size + 1)
        )
        shown, more = pages.cut(
            rows, size, lambda one: (one.created_at.isoformat(), one.artifact_id)
        )
        return pb.ListArtifactsResponse(
            artifacts=map(sessions_wire.artifact, shown), next_page_token=more
        )

    async def GetArtifact(
        self, request: pb.GetArtifactRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetArtifactResponse:
        found = await self._outside.artifacts.get(contexts.organization(), request.artifact_id)
        return pb.GetArtifactResponse(artifact=sessions_wire.artifact(found))

    async def GetArtifactContent(
        self, request: pb.GetArtifactContentRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        found = await self._outside.artifacts.get(contexts.organization(), request.artifact_id)
        # A page chose these bytes and their name: they are for saving, never for showing in place.
        disposition = f"attachment; filename*=UTF-8''{quote(found.name, safe='')}"
        await context.send_initial_metadata((("content-disposition", disposition),))
        content_type = found.content_type
        if not found.size_bytes:
            yield httpbody_pb2.HttpBody(content_type=content_type)
        async for piece in self._outside.artifacts.read(found):
            yield httpbody_pb2.HttpBody(content_type=content_type, data=piece)
            content_type = ""

    async def UploadArtifact(
        self, request: pb.UploadArtifactRequest, context: grpc.aio.ServicerContext
    ) -> pb.UploadArtifactResponse:
        if request.offset < 0:
            raise errors.Invalid("offset", "must not be negative")
        piece = Piece(
            request.artifact_id,
            request.name,
            request.content_type,
            request.offset,
            request.data,
            not request.more,
        )
        artifact_id, kept = await self._outside.uploads.take(contexts.organization(), piece)
        return pb.UploadArtifactResponse(
            artifact_id=artifact_id, artifact=sessions_wire.artifact(kept) if kept else None
        )

    async def DeleteArtifact(
        self, request: pb.DeleteArtifactRequest, context: grpc.aio.ServicerContext
    ) -> pb.DeleteArtifactResponse:
        try:
            found = await self._outside.artifacts.get(contexts.organization(), request.artifact_id)
        except errors.NotFound:
            return pb.DeleteArtifactResponse()
        await self._outside.retention.remove([found])
        return pb.DeleteArtifactResponse()

    async def CreateArtifactLink(
        self, request: pb.CreateArtifactLinkRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateArtifactLinkResponse:
        outside, organization = self._outside, contexts.organization()
        found = await outside.artifacts.get(organization, request.artifact_id)
        expires_at = outside.pool.keyring.links.until(wire.ttl(request), found.expires_at)
        link = Link(Right.FILE, organization, found.artifact_id, expires_at)
        token = outside.pool.keyring.links.seal(link).reveal()
        return wire.artifact_link(outside.public_url, link, token)

    async def DownloadArtifact(
        self, request: pb.DownloadArtifactRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        artifact_id = ids.check("artifact_id", "art", request.artifact_id)
        try:
            link = self._outside.pool.keyring.links.open(request.token, artifact_id)
        except InvalidToken as reason:
            raise errors.Unauthenticated(str(reason), reason="LINK_INVALID") from None
        if link.right is not Right.FILE:
            raise errors.PermissionDenied("the link is for something else", reason="LINK_INVALID")
        found = await self._outside.artifacts.get(link.organization_id, artifact_id)
        content_type = found.content_type
        if not found.size_bytes:
            yield httpbody_pb2.HttpBody(content_type=content_type)
        async for piece in self._outside.artifacts.read(found):
            yield httpbody_pb2.HttpBody(content_type=content_type, data=piece)
            content_type = ""
