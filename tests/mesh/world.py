"""The outside world of the stories: a portal, a webhook receiver, and Podium set up for them."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from deploy.demo import preparation
from deploy.demo.codes import Authenticator
from deploy.demo.receiver import Received, Receiver
from deploy.demo.site import Customer, Portal, serving
from libs import ids
from tests.mesh import doors
from tests.support.eventually import eventually

USERNAME = "dana@northwind.example"
PASSWORD = "correct horse battery"


@dataclass
class World:
    """One story's world."""

    mesh: Any
    door: doors.Door
    portal: Portal
    url: str
    receiver: Receiver
    hooks_url: str
    credential: str
    workflow: str

    async def run(self, workflow: str = "", **request: Any) -> str:
        """Start a run of the portal's workflow; its id."""
        request["workflow_id"] = workflow or self.workflow
        return (await self.door.ask("run.CreateRun", request))["run_id"]

    async def blocks(self, *blocks: dict, **more: Any) -> str:
        """Save a workflow of these blocks; its name."""
        name = f"story-{ids.new('wf')[3:]}"
        document = {"name": name, "blocks": list(blocks), **more}
        await self.door.ask("workflow.CreateWorkflow", {"document": document})
        return name

    async def told(self, run_id: str) -> Received:
        """The webhook about the end of a run; its signature was checked."""
        (message,) = await eventually(lambda: self.receiver.about(run_id), within=15)
        assert message.verified, message.why_not
        return message

    async def has_ended(self, run_id: str, state: str, within_s: float = 60) -> dict:
        """Wait for a run, see that it ended so, told so, and left nothing behind."""
        run = await self.door.wait(run_id, within_s)
        assert doors.word(run["state"]) == state, run
        assert (await self.told(run_id)).body["data"]["state"] == state.lower()
        await self.is_released(run)
        return run

    async def is_released(self, run: dict) -> None:
        """The run's session is closed and its browser's processes are gone."""
        session_id = run.get("browser_session_id")
        if not session_id:
            return

        async def closed() -> bool:
            request = {"browser_session_id": session_id}
            found = await self.door.ask("browser_session.GetSession", request)
            return doors.word(found["session"]["state"]) in ("CLOSED", "CRASHED")

        await eventually(closed, within=10)
        await eventually(lambda: not self.mesh.browsers(), within=10)


@asynccontextmanager
async def world(mesh: Any, kind: str = "rest", pushed_codes: bool = False) -> AsyncIterator[World]:
    """A portal, a receiver, and a credential, an endpoint and a workflow in the mesh."""
    seed = Authenticator(base64.b32encode(ids.random_bytes(20)).decode(), preparation.PERIOD_S)
    portal = Portal(Customer(USERNAME, PASSWORD, None if pushed_codes else seed))
    secret = ""
    receiver = Receiver(lambda: secret)
    async with (
        doors.opened(kind, mesh) as door,
        serving(portal.app(), host=mesh.outside) as url,
        serving(receiver.app(), host=mesh.outside) as hooks,
    ):
        name = f"acme-{ids.new('cred')[5:]}"
        kept: dict[str, Any] = {"name": name, "username": USERNAME, "password": PASSWORD}
        kept |= (
            {"totp_identifier": USERNAME}
            if pushed_codes
            else {"totp_seed": seed.uri(USERNAME, "Acme")}
        )
        await door.ask("totp.CreateCredential", kept)
        wanted = {"url": f"{hooks}/hooks", "event_types": ["run.finished"]}
        made = await door.ask("webhook.CreateEndpoint", wanted)
        secret = made["secret"]
        source = preparation.definition(url).replace("name: acme-orders", f"name: {name}")
        source = source.replace("default: acme-portal", f"default: {name}")
        await door.ask("workflow.CreateWorkflow", {"source": source})
        try:
            yield World(mesh, door, portal, url, receiver, hooks, name, name)
        finally:
            gone = {"endpoint_id": made["endpoint"]["endpoint_id"]}
            await door.ask("webhook.DeleteEndpoint", gone)
