"""The part of the door that is about saved profiles."""

from __future__ import annotations

import grpc

from libs import context as contexts
from libs import errors, ids, pages
from libs.db import Database, Tx
from podium.browser_session.v1 import profile_pb2 as pb
from services.browser_session import store as sessions_store
from services.browser_session import wire as sessions_wire
from services.browser_session.domain import Session, check_usable
from services.browser_session.pool import Pool
from services.browser_session.profile import Profile
from services.browser_session.saved import store, wire
from services.browser_session.saved.domain import (
    SavedProfile,
    checked_name,
    from_storage_state,
)

LONGEST_REQUEST_ID = 128


class ProfileRpcs:
    """Profiles that the organisation keeps."""

    _db: Database
    _pool: Pool

    async def CreateProfile(
        self, request: pb.CreateProfileRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateProfileResponse:
        if len(request.request_id) > LONGEST_REQUEST_ID:
            raise errors.Invalid("request_id", f"is longer than {LONGEST_REQUEST_ID} characters")
        name, profile_id = checked_name(request.name), ids.new("bp")
        found = from_storage_state(request.storage_state) if request.storage_state else None
        organization = contexts.organization()

        def unit(tx: Tx) -> SavedProfile:
            asked = request.request_id
            new = SavedProfile(profile_id, organization, name, asked, 0, tx.now, tx.now)
            made = store.add(tx, new)
            if made.profile_id != profile_id or found is None:
                return made
            return self._pool.saved.append(tx, made, found)

        return pb.CreateProfileResponse(profile=wire.profile(await self._db.write(unit)))

    async def SaveProfile(
        self, request: pb.SaveProfileRequest, context: grpc.aio.ServicerContext
    ) -> pb.SaveProfileResponse:
        profile_id = _checked(request.browser_profile_id)
        session_id = ids.check("browser_session_id", "bs", request.browser_session_id)
        organization = contexts.organization()
        row = await self._db.read(
            lambda tx: sessions_store.sessions.get(tx, organization, session_id)
        )
        check_usable(row)
        await self._pool.write_down_profile(row)

        def unit(tx: Tx) -> tuple[SavedProfile, list]:
            saved = store.get(tx, organization, profile_id, lock=True)
            if request.expected_version not in (0, saved.version):
                raise errors.Aborted(
                    f"the newest version is {saved.version}", reason="PROFILE_MOVED_ON"
                )
            saved = self._pool.saved.append(tx, saved, self._found(tx, row), session_id)
            return saved, store.versions(tx, profile_id)

        return pb.SaveProfileResponse(profile=wire.profile(*await self._db.write(unit)))

    async def GetProfile(
        self, request: pb.GetProfileRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetProfileResponse:
        profile_id, organization = _checked(request.browser_profile_id), contexts.organization()

        def query(tx: Tx) -> tuple[SavedProfile, list]:
            return store.get(tx, organization, profile_id), store.versions(tx, profile_id)

        return pb.GetProfileResponse(profile=wire.profile(*await self._db.read(query)))

    async def ListProfiles(
        self, request: pb.ListProfilesRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListProfilesResponse:
        organization, size = contexts.organization(), pages.size(request.page_size)
        before = sessions_wire.page_start(request.page_token)
        rows = await self._db.read(lambda tx: store.page(tx, organization, before, size + 1))
        shown, more = pages.cut(
            rows, size, lambda one: (one.created_at.isoformat(), one.profile_id)
        )
        return pb.ListProfilesResponse(profiles=map(wire.profile, shown), next_page_token=more)

    async def DeleteProfile(
        self, request: pb.DeleteProfileRequest, context: grpc.aio.ServicerContext
    ) -> pb.DeleteProfileResponse:
        profile_id, organization = _checked(request.browser_profile_id), contexts.organization()

        def unit(tx: Tx) -> None:
            try:
                store.remove(tx, store.get(tx, organization, profile_id, lock=True).profile_id)
            except errors.NotFound:
                return

        await self._db.write(unit)
        return pb.DeleteProfileResponse()

    def _found(self, tx: Tx, row: Session) -> Profile:
        """What the session's browser knew when it was last written down."""
        sealed = sessions_store.profiles.get(tx, row.session_id)
        if sealed is None:
            return Profile()
        return self._pool.open_profile(row.session_id, sealed)


def _checked(profile_id: str) -> str:
    return ids.check("browser_profile_id", "bp", profile_id)
