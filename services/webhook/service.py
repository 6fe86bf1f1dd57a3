"""The door for calls: endpoints, their deliveries, tests and replays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from libs import context, egress, errors, ids, pages
from libs.db import Database, Tx
from libs.events.bus import Subscription
from libs.rpc.mesh import Mesh
from libs.secrets import Vault
from podium.webhook.v1 import webhook_pb2 as pb
from podium.webhook.v1 import webhook_pb2_grpc
from services.webhook import domain, signing, store, wire
from services.webhook.delivery import Courier, secret_aad
from services.webhook.events import Announcer
from services.webhook.settings import WebhookSettings


class WebhookService(webhook_pb2_grpc.WebhookServiceServicer):
    """Who is told of which events, and every attempt to tell them."""

    tables = store.METADATA
    settings = WebhookSettings

    def __init__(self, database: Database, vault: Vault, rules: egress.EgressRules) -> None:
        self._database = database
        self._vault = vault
        self._rules = rules
        self.subscriptions: list[Subscription] = Announcer(database).subscriptions()

    @classmethod
    @asynccontextmanager
    async def open(cls, mesh: Mesh) -> AsyncIterator[WebhookService]:
        """The service with its delivery engine at work."""
        settings = mesh.settings
        assert isinstance(settings, WebhookSettings)
        async with egress.session(
            settings,
            connect_timeout_s=settings.webhook_connect_timeout_s,
            total_timeout_s=settings.webhook_total_timeout_s,
            connections=settings.webhook_concurrency,
        ) as client:
            courier = Courier(mesh.db, mesh.vault, mesh.clock, client, settings)
            worker = courier.worker(mesh)
            running = mesh.spawn(worker.run(), "webhook-delivery")
            mesh.on_drain(worker.drain)
            try:
                yield cls(mesh.db, mesh.vault, settings)
            finally:
                running.cancel()

    # Endpoints

    async def CreateEndpoint(
        self, request: pb.CreateEndpointRequest, context_: Any
    ) -> pb.CreateEndpointResponse:
        organization_id, endpoint_id = context.organization(), ids.new("whe")
        key = ids.random_bytes(signing.SECRET_BYTES)
        values = self._checked(request)
        values["secret"] = self._vault.seal(key, secret_aad(organization_id, endpoint_id))
        row = await self._database.write(
            lambda tx: store.add_endpoint(tx, organization_id, endpoint_id, values)
        )
        return pb.CreateEndpointResponse(
            endpoint=wire.endpoint(row), secret=signing.secret_text(key)
        )

    async def GetEndpoint(
        self, request: pb.GetEndpointRequest, context_: Any
    ) -> pb.GetEndpointResponse:
        organization_id = context.organization()
        endpoint_id = ids.check("endpoint_id", "whe", request.endpoint_id)
        row = await self._database.read(lambda tx: store.endpoint(tx, organization_id, endpoint_id))
        return pb.GetEndpointResponse(endpoint=wire.endpoint(row))

    async def ListEndpoints(
        self, request: pb.ListEndpointsRequest, context_: Any
    ) -> pb.ListEndpointsResponse:
        organization_id = context.organization()
        size, before = pages.size(request.page_size), pages.after(request.page_token)
        rows = await self._database.read(
            lambda tx: store.list_endpoints(tx, organization_id, before, size + 1)
        )
        shown, more = pages.cut(rows, size, lambda row: (row.endpoint_id,))
        return pb.ListEndpointsResponse(endpoints=map(wire.endpoint, shown), next_page_token=more)

    async def UpdateEndpoint(
        self, request: pb.UpdateEndpointRequest, context_: Any
    ) -> pb.UpdateEndpointResponse:
        organization_id = context.organization()
        endpoint_id = ids.check("endpoint_id", "whe", request.endpoint_id)
        values = {**self._checked(request), "disabled": request.disabled}

        def unit(tx: Tx) -> Any:
            row = store.endpoint(tx, organization_id, endpoint_id)
            if request.etag and request.etag != wire.etag(row):
                raise errors.Aborted("the etag is not the current one", reason="ETAG_MISMATCH")
            if not request.disabled:
                values["disabled_reason"] = ""
            return store.update_endpoint(tx, row, values)

        return pb.UpdateEndpointResponse(endpoint=wire.endpoint(await self._database.write(unit)))

    async def DeleteEndpoint(
        self, request: pb.DeleteEndpointRequest, context_: Any
    ) -> pb.DeleteEndpointResponse:
        organization_id = context.organization()
        endpoint_id = ids.check("endpoint_id", "whe", request.endpoint_id)

        def unit(tx: Tx) -> None:
            row = store.endpoint(tx, organization_id, endpoint_id, removed=True)
            store.remove_endpoint(tx, row)

        await self._database.write(unit)
        return pb.DeleteEndpointResponse()

    async def TestEndpoint(
        self, request: pb.TestEndpointRequest, context_: Any
    ) -> pb.TestEndpointResponse:
        organization_id = context.organization()
        endpoint_id = ids.check("endpoint_id", "whe", request.endpoint_id)

        def unit(tx: Tx) -> pb.Delivery:
            store.endpoint(tx, organization_id, endpoint_id)
            store.endpoint_to_send_to(tx, organization_id, endpoint_id)
            event = wire.test_announcement(ids.new("evt"), organization_id, endpoint_id, tx.now)
            return wire.delivery(store.add_delivery(tx, endpoint_id, event), tx.now)

        return pb.TestEndpointResponse(delivery=await self._database.write(unit))

    # Deliveries

    async def GetDelivery(
        self, request: pb.GetDeliveryRequest, context_: Any
    ) -> pb.GetDeliveryResponse:
        organization_id = context.organization()
        delivery_id = ids.check("delivery_id", "whd", request.delivery_id)

        def query(tx: Tx) -> pb.Delivery:
            row = store.delivery(tx, organization_id, delivery_id)
            return wire.delivery(row, tx.now, store.attempts_of(tx, organization_id, delivery_id))

        return pb.GetDeliveryResponse(delivery=await self._database.read(query))

    async def ListDeliveries(
        self, request: pb.ListDeliveriesRequest, context_: Any
    ) -> pb.ListDeliveriesResponse:
        organization_id = context.organization()
        if request.endpoint_id:
            ids.check("endpoint_id", "whe", request.endpoint_id)
        if request.run_id:
            ids.check("run_id", "run", request.run_id)
        filters = (request.endpoint_id, request.run_id, str(request.state))
        wanted, size = wire.delivery_filter(request), pages.size(request.page_size)
        before = pages.after(request.page_token, *filters)

        def query(tx: Tx) -> pb.ListDeliveriesResponse:
            rows = store.list_deliveries(tx, organization_id, wanted, before, size + 1)
            shown, more = pages.cut(rows, size, lambda row: (row.delivery_id, *filters))
            return pb.ListDeliveriesResponse(
                deliveries=[wire.delivery(row, tx.now) for row in shown],
                next_page_token=more,
            )

        return await self._database.read(query)

    async def ReplayDelivery(
        self, request: pb.ReplayDeliveryRequest, context_: Any
    ) -> pb.ReplayDeliveryResponse:
        organization_id = context.organization()
        delivery_id = ids.check("delivery_id", "whd", request.delivery_id)

        def unit(tx: Tx) -> pb.Delivery:
            row = store.delivery(tx, organization_id, delivery_id)
            store.endpoint_to_send_to(tx, organization_id, row.endpoint_id)
            return wire.delivery(store.replay(tx, row), tx.now)

        return pb.ReplayDeliveryResponse(delivery=await self._database.write(unit))

    def _checked(
        self, request: pb.CreateEndpointRequest | pb.UpdateEndpointRequest
    ) -> dict[str, Any]:
        if not request.url:
            raise errors.Invalid("url", "is required")
        return {
            "url": egress.check_url(request.url, self._rules),
            "event_types": domain.check_event_types(request.event_types),
            "description": domain.check_description(request.description),
        }
