"""The part of the door that is about files: uploads, signed addresses, removal."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
from google.api import httpbody_pb2

from libs import context as contexts
from libs import errors, ids
from podium.browser_session.v1 import browser_session_pb2 as pb
from services.browser_session import wire as sessions_wire
from services.browser_session.tokens import InvalidToken
from services.browser_session.view import wire
from services.browser_session.view.links import Link
from services.browser_session.view.rights import Right
from services.browser_session.view.service.outside import Outside
from services.browser_session.view.uploads import Piece


class FileRpcs:
    """Files that come in, and those that are handed on."""

    _outside: Outside

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
        expires_at = outside.pool.links.until(wire.ttl(request), found.expires_at)
        link = Link(Right.FILE, organization, found.artifact_id, expires_at)
        token = outside.pool.links.seal(link).reveal()
        return wire.artifact_link(outside.public_url, link, token)

    async def DownloadArtifact(
        self, request: pb.DownloadArtifactRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        artifact_id = ids.check("artifact_id", "art", request.artifact_id)
        try:
            link = self._outside.pool.links.open(request.token, artifact_id)
        except InvalidToken as reason:
            raise errors.PermissionDenied(str(reason), reason="LINK_INVALID") from None
        if link.right is not Right.FILE:
            raise errors.PermissionDenied("the link is for something else", reason="LINK_INVALID")
        found = await self._outside.artifacts.get(link.organization_id, artifact_id)
        content_type = found.content_type
        if not found.size_bytes:
            yield httpbody_pb2.HttpBody(content_type=content_type)
        async for piece in self._outside.artifacts.read(found):
            yield httpbody_pb2.HttpBody(content_type=content_type, data=piece)
            content_type = ""
