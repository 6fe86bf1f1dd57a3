"""Keys at rest are rotated under sessions and profiles: the new key alone opens all of them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from libs import ids
from libs.db import Database
from libs.resealing import reseal, unlisted
from libs.secrets import Vault
from podium.browser_session.v1 import browser_session_pb2 as pb
from podium.browser_session.v1 import settings_pb2
from services.browser_session.revival import profile_seal
from services.browser_session.sealing import SEALED
from services.browser_session.service import BrowserSessionService
from services.browser_session.store.tables import PROFILES
from tests.contract.browser_session.conftest import Sessions, Site
from tests.contract.browser_session.test_profiles import begin, create, known, release
from tests.support.mesh import running


def key() -> str:
    return base64.b64encode(ids.random_bytes(32)).decode()


def state(site: Site, user: str) -> str:
    """A profile in which the site knows this user."""
    kept = {"origin": site.url, "localStorage": [{"name": "user", "value": user}]}
    return json.dumps({"cookies": [], "origins": [kept]})


async def keep_profile(database: Database, session: pb.Session, vault: Vault) -> None:
    """What the session would keep of its own while its browser is in use."""
    session_id = session.browser_session_id
    row = {
        "session_id": session_id,
        "organization_id": "org_a",
        "sealed": vault.seal(b"{}", profile_seal(session_id)),
    }
    await database.write(lambda tx: tx.insert(PROFILES, {**row, "saved_at": tx.now}))


async def test_everything_sealed_opens_under_the_new_key_alone(
    tmp_path: Path, redis_url: str, site: Site
) -> None:
    old, new = {"1": key()}, {"2": key()}
    both = json.dumps(old | new)
    header = settings_pb2.ExtraHeader(name="x-key", value="hunter3")
    async with running(
        BrowserSessionService, tmp_path, redis_url, vault_keys=json.dumps(old)
    ) as service:
        sessions = Sessions(service)
        names = ("ada", "bob")
        made = [await create(sessions, n, storage_state=state(site, n)) for n in names]
        session = await sessions.acquire(options=pb.SessionOptions(extra_headers=[header]))
        await keep_profile(service.mesh.db, session, Vault.from_text(json.dumps(old)))
        database = service.mesh.db
        report = await reseal(database, Vault.from_text(both), SEALED)
        assert (report.resealed, dict(report.under)) == (5, {2: 5})
        again = await reseal(database, Vault.from_text(both), SEALED)
        assert (again.resealed, dict(again.under)) == (0, {2: 5})
        vault = Vault.from_text(json.dumps(new))
        for column in SEALED:
            query = column.table.select()
            for row in await database.read(lambda tx, q=query: tx.execute(q).all()):
                assert vault.open(getattr(row, column.column.name), column.place(row))
    async with running(
        BrowserSessionService, tmp_path, redis_url, vault_keys=json.dumps(new)
    ) as service:
        sessions = Sessions(service)
        for profile, user in zip(made, names, strict=True):
            session = await begin(sessions, profile.browser_profile_id)
            assert (await known(sessions, session, site.url))[1] == user
            await release(sessions, session)


def test_no_sealed_column_is_forgotten() -> None:
    assert unlisted(BrowserSessionService.tables, SEALED) == []
