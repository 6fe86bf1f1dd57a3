"""Which columns hold sealed values, and what ties each to its row: what a rotation goes through."""

from __future__ import annotations

from libs.resealing import SealedColumn
from services.browser_session.keyring import key_seal
from services.browser_session.presence import hidden_seal
from services.browser_session.revival import profile_seal
from services.browser_session.saved.domain import version_seal
from services.browser_session.saved.store import VERSIONS
from services.browser_session.store.tables import PROFILES, SESSIONS

SEALED = [
    SealedColumn(SESSIONS.c.cdp_key, lambda row: key_seal(row.session_id)),
    SealedColumn(SESSIONS.c.sealed_options, lambda row: hidden_seal(row.session_id)),
    SealedColumn(PROFILES.c.sealed, lambda row: profile_seal(row.session_id)),
    SealedColumn(VERSIONS.c.sealed, lambda row: version_seal(row.profile_id, row.version)),
]
