"""Keys at rest are rotated: everything opens under the new key alone, and swapped rows do not."""

import base64
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.keys import keys_of
from deploy.layout import ROOT, Layout, services
from deploy.rotation import SEALING
from gateway.cli.root import podium
from gateway.cli.terminal import Terminal
from libs import errors, ids
from libs.resealing import reseal, unlisted
from libs.secrets import Vault
from libs.settings import child_environment
from podium.totp.v1 import totp_pb2 as pb
from services.totp.service import TotpService
from services.totp.store.tables import SEALED, credentials
from tests.contract.totp.asking import Asking
from tests.support.mesh import running


def key() -> str:
    return base64.b64encode(ids.random_bytes(32)).decode()


async def resolved(asking: Asking, name: str) -> str:
    request = pb.ResolveCredentialRequest(credential_id=name)
    return (await asking.task.ResolveCredential(request)).password


async def test_every_secret_moves_to_the_new_key(tmp_path: Path, redis_url: str) -> None:
    old, new = {"1": key()}, {"2": key()}
    async with running(TotpService, tmp_path, redis_url, vault_keys=json.dumps(old)) as service:
        asking = Asking(service, "org_a")
        for name in ("one", "two"):
            whole = {"name": name, "password": f"pw of {name}", "totp_seed": "JBSWY3DPEHPK3PXP"}
            await asking.gateway.CreateCredential(pb.CreateCredentialRequest(**whole))
        await asking.push("Your code is 482913")
        await asking.push("Code 111111 or 222222")
    both = json.dumps(old | new)
    async with running(TotpService, tmp_path, redis_url, vault_keys=both) as service:
        # Beside a running replica that knows both keys.
        report = await reseal(service.mesh.db, Vault.from_text(both), SEALED)
        assert (report.resealed, dict(report.under)) == (6, {2: 6})
        again = await reseal(service.mesh.db, Vault.from_text(both), SEALED)
        assert (again.resealed, dict(again.under)) == (0, {2: 6})
    async with running(TotpService, tmp_path, redis_url, vault_keys=json.dumps(new)) as service:
        asking = Asking(service, "org_a")
        assert await resolved(asking, "one") == "pw of one"
        assert await asking.claim(await asking.open(identifier="", credential_id="two"), 40)
        assert await asking.claim(await asking.open()) == "482913"
        assert "•" in (await asking.messages())[0].redacted_text
        # The new seal is bound to its row as the old one was.
        stored = await service.mesh.db.read(lambda tx: tx.execute(credentials.select()).all())
        rows = {row.name: row.password_sealed for row in stored}
        for name, other in (("one", "two"), ("two", "one")):
            swap = credentials.update().where(credentials.c.name == name)
            swapped = swap.values(password_sealed=rows[other])
            await service.mesh.db.write(lambda tx, change=swapped: tx.execute(change))
        with pytest.raises(errors.Internal):
            await resolved(asking, "one")


async def test_what_was_tampered_with_stops_the_rotation(tmp_path: Path, redis_url: str) -> None:
    old, new = {"1": key()}, {"2": key()}
    async with running(
        TotpService, tmp_path, redis_url, vault_keys=json.dumps(old | new)
    ) as service:
        one = Vault.from_text(json.dumps(old))
        asking = Asking(service, "org_a")
        for name in ("one", "two"):
            request = pb.CreateCredentialRequest(name=name, password="x")
            await asking.gateway.CreateCredential(request)
        moved = credentials.update().values(password_sealed=one.seal(b"x", b"another place"))
        await service.mesh.db.write(lambda tx: tx.execute(moved))
        with pytest.raises(errors.Internal):
            await reseal(service.mesh.db, service.mesh.vault, SEALED)


def test_the_operator_is_told_of_every_service_that_seals() -> None:
    for service in set(services()) - set(SEALING):
        store = importlib.import_module(f"services.{service}.store")
        assert unlisted(store.METADATA, []) == [], f"{service} seals: add it to deploy.rotation"


def test_no_sealed_column_of_totp_is_forgotten() -> None:
    assert unlisted(TotpService.tables, SEALED) == []
    assert unlisted(TotpService.tables, []) != []


@pytest.mark.long
async def test_the_command_of_a_service(tmp_path: Path, redis_url: str) -> None:
    home = Layout(tmp_path)
    home.secrets.mkdir(parents=True)
    keys = keys_of(home).vault_of("totp")
    async with running(TotpService, tmp_path, redis_url, vault_keys=keys) as service:
        request = pb.CreateCredentialRequest(name="one", password="x")
        await Asking(service, "org_a").gateway.CreateCredential(request)
    environment = child_environment(
        PODIUM_HOME=str(tmp_path), PODIUM_SERVICE="totp", PODIUM_VAULT_KEYS=keys
    )
    command = [sys.executable, "-m", "libs.resealing"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    said = json.loads(done.stdout)
    assert said == {"service": "totp", "resealed": 0, "under": {"1": 1}, "unlisted": []}


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_the_operator_rotates_and_drops(tmp_path: Path, redis_url: str) -> None:
    home = Layout(tmp_path)
    home.secrets.mkdir(parents=True)
    keys = keys_of(home).vault_of("totp")
    async with running(TotpService, tmp_path, redis_url, vault_keys=keys) as service:
        request = pb.CreateCredentialRequest(name="one", password="canary")
        await Asking(service, "org_a").gateway.CreateCredential(request)

    def command(*words: str, code: int = 0) -> str:
        called = ["--home", str(tmp_path), "admin", "keys", *words]
        done = CliRunner().invoke(podium, called, obj=Terminal())
        assert done.exit_code == code, done.output
        return done.output

    assert "key 1  totp  1 values" in command("list")
    assert "Key 2 is made; 1 values sealed anew." in command("rotate")
    refused = CliRunner().invoke(
        podium, ["--home", str(tmp_path), "admin", "keys", "drop", "2"], obj=Terminal()
    )
    assert isinstance(refused.exception, errors.FailedPrecondition)
    assert set(json.loads(keys_of(home).vault)) == {"1", "2"}
    assert "Key 1 is destroyed." in command("drop", "1")
    keys = keys_of(home).vault_of("totp")
    assert set(json.loads(keys)) == {"2"}
    async with running(TotpService, tmp_path, redis_url, vault_keys=keys) as service:
        assert await resolved(Asking(service, "org_a"), "one") == "canary"
