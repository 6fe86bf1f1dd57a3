"""Saving and loading profiles: between a session's own profile and the versions that are kept.

The last writer makes the newest version; nobody's version is overwritten. A session that ends and
is to save leaves its own profile behind; it becomes a version when its browser is gone, or, if the
replica died before that, with the next beat of any replica.
"""

from __future__ import annotations

import logging

import aiohttp

from libs import errors
from libs.db import Database, Tx
from libs.secrets import Vault
from services.browser_session import profile as state
from services.browser_session import store as sessions_store
from services.browser_session.domain import Options, Session
from services.browser_session.profile import Profile
from services.browser_session.revival import profile_seal
from services.browser_session.saved import store
from services.browser_session.saved.domain import SavedProfile, Version, version_seal

log = logging.getLogger(__name__)


class SavedProfiles:
    """The profiles of all organisations."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def append(
        self, tx: Tx, saved: SavedProfile, found: Profile, session_id: str = ""
    ) -> SavedProfile:
        """Makes what was found the newest version of a locked profile."""
        number = saved.version + 1
        sealed = self._vault.seal(found.as_bytes(), version_seal(saved.profile_id, number))
        counts = len(found.cookies), len(found.storage)
        store.append(tx, saved, Version(number, *counts, session_id, tx.now), sealed)
        return store.get(tx, saved.organization_id, saved.profile_id)

    async def load(self, row: Session, http: aiohttp.ClientSession, url: str) -> Profile | None:
        """Gives a fresh browser the profile its session begins with; None when it has none."""
        options = row.options
        if not options.profile_id:
            return None

        def query(tx: Tx) -> tuple[int, bytes | None]:
            saved = store.get(tx, row.organization_id, options.profile_id)
            number = options.profile_version or saved.version
            return number, store.content(tx, saved.profile_id, number)

        number, sealed = await self._db.read(query)
        if sealed is None:
            return None
        found = Profile.of(self._vault.open(sealed, version_seal(options.profile_id, number)))
        await state.restore(http, url, found)
        return found

    async def take_over(self, session_id: str) -> None:
        """Makes the profile that an ended session left behind a version, once."""

        def unit(tx: Tx) -> int:
            row = sessions_store.sessions.get_anywhere(tx, session_id)
            sealed = sessions_store.profiles.get(tx, session_id)
            if row is None or sealed is None:
                return 0
            sessions_store.profiles.forget(tx, session_id)
            if not row.options.save_profile:
                return 0
            found = Profile.of(self._vault.open(sealed, profile_seal(session_id)))
            saved = store.get(tx, row.organization_id, row.options.profile_id, lock=True)
            return self.append(tx, saved, found, session_id).version

        try:
            version = await self._db.write(unit)
        except errors.NotFound:
            # Deleted while the session ran: there is nothing to save into, and nothing to keep.
            await self._db.write(lambda tx: sessions_store.profiles.forget(tx, session_id))
            return
        if version:
            log.info("the profile of session %s was saved as version %d", session_id, version)

    async def take_over_all(self) -> None:
        """The same for every session whose replica had no time for it."""
        for session_id in await self._db.read(store.left_behind):
            await self.take_over(session_id)


def check_there(tx: Tx, organization_id: str, options: Options) -> None:
    """Raises unless the profile that a new session is to begin with is there."""
    if not options.profile_id:
        return
    saved = store.get(tx, organization_id, options.profile_id)
    if options.profile_version:
        kept = {one.version for one in store.versions(tx, saved.profile_id)}
        if options.profile_version not in kept:
            raise errors.Invalid("options.profile.version", "is not a version that is kept")
