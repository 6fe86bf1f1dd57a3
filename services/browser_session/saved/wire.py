"""Between saved profiles and the contract: pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from libs.wire import timestamp
from podium.browser_session.v1 import profile_pb2 as pb
from services.browser_session.saved.domain import SavedProfile, Version


def profile(stored: SavedProfile, versions: Iterable[Version] = ()) -> pb.Profile:
    """A profile as the contract says it."""
    return pb.Profile(
        browser_profile_id=stored.profile_id,
        name=stored.name,
        version=stored.version,
        create_time=timestamp(stored.created_at),
        update_time=timestamp(stored.updated_at),
        versions=map(_version, versions),
    )


def _version(stored: Version) -> pb.ProfileVersion:
    return pb.ProfileVersion(
        version=stored.version,
        cookies=stored.cookies,
        origins=stored.origins,
        browser_session_id=stored.session_id,
        save_time=timestamp(stored.saved_at),
    )
