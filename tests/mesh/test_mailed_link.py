"""A site that mails a link in place of a password: it signs a run in, and nobody reads it."""

from __future__ import annotations

import json

from libs import ids
from tests.mesh.world import world
from tests.support.eventually import eventually
from tests.support.sites.office import USERNAME, office

MAIL = "From: office@example.com\nSubject: Sign in\n\nSign in to Office with this link: {}\n"


async def test_a_run_is_signed_in_by_the_link_that_was_mailed(mesh):
    async with world(mesh) as acme, office() as site:
        name = f"office-{ids.token(4)}"
        kept = {"name": name, "username": USERNAME, "totp_identifier": USERNAME}
        await acme.door.ask("totp.CreateCredential", kept)
        login = {
            "url": f"{site.url}/magic",
            "credential_id": name,
            "link_hosts": ["127.0.0.1"],
            "success_text": "signed in as ada",
        }
        workflow = await acme.blocks(
            {"label": "in", "kind": "login", "params": login},
            {"label": "picture", "kind": "screenshot", "params": {"name": "in.png"}},
        )
        run_id = await acme.run(workflow)
        (link,) = await eventually(lambda: site.mailed, within=20)
        await acme.door.ask(
            "totp.SubmitMessage", {"identifier": USERNAME, "content": MAIL.format(link)}
        )
        await acme.has_ended(run_id, "COMPLETED")
        assert not site.good_links
        token = link.rpartition("=")[2]
        tasks = await acme.door.ask("task.ListTasks", {"run_id": run_id})
        assert "sign_in_link" in json.dumps(
            [await acme.door.ask("task.GetTask", {"task_id": t["task_id"]}) for t in tasks["tasks"]]
        )
        history = await acme.door.watch(run_id)
        assert token not in json.dumps([history, tasks])
    written = [path for path in mesh.home.rglob("*") if path.is_file()]
    assert not [str(path) for path in written if token.encode() in path.read_bytes()]
