"""An operator rotates the keys at rest of a mesh in use, and destroys the old one."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from deploy.demo.receiver import Receiver
from deploy.demo.site import serving
from deploy.keys import keys_of
from deploy.layout import Layout
from gateway.cli.root import podium
from gateway.cli.terminal import Terminal
from tests.mesh import doors, world
from tests.mesh.conftest import brought_up
from tests.support.eventually import eventually

STATE = {"cookies": [], "origins": []}


def keys(home, *words):
    called = ["--home", str(home), "admin", "keys", *words]
    done = CliRunner().invoke(podium, called, obj=Terminal())
    assert done.exit_code == 0, f"{done.output}{done.exception!r}"
    return done.output


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_the_old_key_is_destroyed_and_all_goes_on(tmp_path):
    secret = ""
    receiver = Receiver(lambda: secret)
    async with serving(receiver.app()) as hooks:
        with brought_up(tmp_path) as mesh:
            async with world.world(mesh) as here:
                await here.has_ended(await here.run(), "COMPLETED")
            async with doors.opened("rest", mesh) as door:
                kept = {"name": "kept", "username": "jo", "password": "canary"}
                await door.ask("totp.CreateCredential", kept)
                wanted = {"url": f"{hooks}/hooks", "event_types": ["*"], "headers": {"x-a": "b"}}
                made = await door.ask("webhook.CreateEndpoint", wanted)
                secret = made["secret"]
                profile = {"name": "shop", "storage_state": json.dumps(STATE)}
                await door.ask("browser_session.CreateProfile", profile)
        assert "Key 2 is made" in keys(tmp_path, "rotate")
        assert "Key 1 is destroyed." in keys(tmp_path, "drop", "1")
        assert set(json.loads(keys_of(Layout(tmp_path)).vault)) == {"2"}
        listed = keys(tmp_path, "list")
        assert {line.split()[2] for line in listed.splitlines() if line.startswith("key 2")} == {
            "browser_session",
            "totp",
            "webhook",
        }
        assert "not sealed anew" not in listed
        with brought_up(tmp_path) as mesh:
            async with doors.opened("rest", mesh) as door:
                endpoint = {"endpoint_id": made["endpoint"]["endpoint_id"]}
                await door.ask("webhook.TestEndpoint", endpoint)
                (message,) = await eventually(lambda: receiver.received, within=15)
                assert message.verified, message.why_not
            async with world.world(mesh) as here:
                await here.has_ended(await here.run(), "COMPLETED")
