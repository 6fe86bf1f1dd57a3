"""Keys at rest are rotated under endpoints: they sign and send as before with the new key alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from libs import ids
from libs.resealing import reseal, unlisted
from libs.secrets import Vault
from podium.webhook.v1 import webhook_pb2 as pb
from services.webhook.service import WebhookService
from tests.contract.webhook.conftest import Sink
from tests.contract.webhook.test_credentials import tried, verifies


def key() -> str:
    return base64.b64encode(ids.random_bytes(32)).decode()


async def test_endpoints_send_as_before(open_world: Callable[..., Any], sink: Sink) -> None:
    old, new = {"1": key()}, {"2": key()}
    async with open_world(vault_keys=json.dumps(old)) as world:
        organization = world.organization
        request = pb.CreateEndpointRequest(url=sink.url, headers={"x-key": "hunter2"})
        made = await world.stub().CreateEndpoint(request)
        # What is removed keeps a row and no secrets.
        gone, _ = await world.endpoint(sink.url + "/gone")
        await world.stub().DeleteEndpoint(pb.DeleteEndpointRequest(endpoint_id=gone.endpoint_id))
    both = json.dumps(old | new)
    async with open_world(vault_keys=both) as world:
        database, vault = world.service.mesh.db, Vault.from_text(both)
        for resealed in (1, 0):
            report = await reseal(database, vault, WebhookService.sealed)
            assert (report.resealed, dict(report.under)) == (resealed, {2: 1})
    async with open_world(vault_keys=json.dumps(new)) as world:
        world.organization = organization
        message = await tried(world, sink, made.endpoint)
        assert verifies(made.secret, message)
        assert message.headers["x-key"] == "hunter2"


def test_no_sealed_column_is_forgotten() -> None:
    assert unlisted(WebhookService.tables, WebhookService.sealed) == []
