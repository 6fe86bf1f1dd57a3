"""Keys at rest are rotated under runs: what they ask of their sessions opens as before."""

from __future__ import annotations

import base64
import json

from libs import ids
from libs.resealing import reseal, unlisted
from libs.secrets import Vault
from services.run.service import RunService
from services.run.store.secrets import wish_place
from services.run.store.tables import session_secrets
from tests.support.mesh import VAULT_KEYS, Running


async def test_what_a_run_asks_of_its_session_moves_to_the_new_key(service: Running) -> None:
    new = {"2": base64.b64encode(ids.random_bytes(32)).decode()}
    both = Vault.from_text(json.dumps(json.loads(VAULT_KEYS) | new))
    run_id, database = ids.new("run"), service.mesh.db
    sealed = service.mesh.vault.seal(b"wish", wish_place(run_id))
    row = {"run_id": run_id, "organization_id": "org_a", "wish_sealed": sealed}
    await database.write(lambda tx: tx.insert(session_secrets, row))
    for resealed in (1, 0):
        report = await reseal(database, both, RunService.sealed)
        assert (report.resealed, dict(report.under)) == (resealed, {2: 1})
    kept = await database.read(lambda tx: tx.first(session_secrets, run_id=run_id))
    assert kept is not None
    opened = Vault.from_text(json.dumps(new)).open(kept.wish_sealed, wish_place(run_id))
    assert opened == b"wish"


def test_no_sealed_column_is_forgotten() -> None:
    assert unlisted(RunService.tables, RunService.sealed) == []
