"""The door for calls: endpoints, their credentials and deliveries, tests, replays, the feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from libs import context, egress, errors, ids, pages
from libs.clock import Clock
from libs.db import Database, Tx
from libs.events.bus import Subscription
from libs.rpc.mesh import Mesh
from libs.secrets import Vault
from libs.signals import Signals
from podium.webhook.v1 import webhook_pb2 as pb
from podium.webhook.v1 import webhook_pb2_grpc
from services.webhook import (
    certificates,
    credentials,
    domain,
    filters,
    recovery,
    signing,
    store,
    wire,
)
from services.webhook.credentials import Credentials, Key
from services.webhook.delivery import Courier
from services.webhook.dispatch import Dispatcher
from services.webhook.events import Announcer
from services.webhook.settings import WebhookSettings


class WebhookService(webhook_pb2_grpc.WebhookServiceServicer):
    """Who is told of which events, and every attempt to tell them."""

    tables = store.METADATA
    sealed = credentials.SEALED
    settings = WebhookSettings

    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        signals: Signals,
        rules: egress.EgressRules,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._signals = signals
        self._rules = rules
        self.subscriptions: list[Subscription] = Announcer(database, clock).subscriptions()

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
            courier = Courier(mesh.vault, mesh.clock, client, settings)
            dispatcher = Dispatcher(mesh, courier, settings)
            running = mesh.spawn(dispatcher.run(), "webhook-delivery")
            mesh.on_drain(dispatcher.drain)
            try:
                yield cls(mesh.db, mesh.vault, mesh.clock, mesh.signals, settings)
            finally:
                running.cancel()

    # Endpoints

    async def CreateEndpoint(
        self, request: pb.CreateEndpointRequest, context_: Any
    ) -> pb.CreateEndpointResponse:
        organization_id, endpoint_id = context.organization(), ids.new("whe")
        headers, key = domain.check_headers(request.headers), Key.fresh()
        kept = Credentials((key,), headers)
        values = {
            **self._checked(request),
            **self._sealed(kept, organization_id, endpoint_id),
            "certificate": None,
        }

        def unit(tx: Tx) -> pb.Endpoint:
            row = store.add_endpoint(tx, organization_id, endpoint_id, values)
            if row.run_id:
                store.catch_up(tx, row)
            return wire.endpoint(row, tx.now)

        return pb.CreateEndpointResponse(
            endpoint=await self._database.write(unit), secret=signing.secret_text(key.secret)
        )

    async def GetEndpoint(
        self, request: pb.GetEndpointRequest, context_: Any
    ) -> pb.GetEndpointResponse:
        organization_id = context.organization()
        endpoint_id = ids.check("endpoint_id", "whe", request.endpoint_id)
        found = await self._database.read(
            lambda tx: wire.endpoint(store.endpoint(tx, organization_id, endpoint_id), tx.now)
        )
        return pb.GetEndpointResponse(endpoint=found)

    async def ListEndpoints(
        self, request: pb.ListEndpointsRequest, context_: Any
    ) -> pb.ListEndpointsResponse:
        organization_id = context.organization()
        size, before = pages.size(request.page_size), pages.after(request.page_token)
        rows = await self._database.read(
            lambda tx: store.list_endpoints(tx, organization_id, before, size + 1)
        )
        shown, more = pages.cut(rows, size, lambda row: (row.endpoint_id,))
        now = self._clock.now()
        return pb.ListEndpointsResponse(
            endpoints=[wire.endpoint(row, now) for row in shown], next_page_token=more
        )

    async def UpdateEndpoint(
        self, request: pb.UpdateEndpointRequest, context_: Any
    ) -> pb.UpdateEndpointResponse:
        values = {**self._checked(request), "disabled": request.disabled}

        def change(tx: Tx, row: Any) -> Any:
            if request.etag and request.etag != wire.etag(row):
                raise errors.Aborted("the etag is not the current one", reason="ETAG_MISMATCH")
            if not request.disabled:
                values["disabled_reason"] = ""
            mended = row.url != request.url or (row.disabled and not request.disabled)
            return store.update_endpoint(tx, row, values, mended=mended)

        return pb.UpdateEndpointResponse(endpoint=await self._change(request.endpoint_id, change))

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

    # Credentials

    async def RotateEndpointSecret(
        self, request: pb.RotateEndpointSecretRequest, context_: Any
    ) -> pb.RotateEndpointSecretResponse:
        asked = wire.overlap(request)
        overlap, key = domain.check_overlap(asked), Key.fresh()

        def change(tx: Tx, row: Any) -> Any:
            kept = credentials.unseal(self._vault, row).rotated(key, tx.now, overlap)
            facts = {"endpoint_id": row.endpoint_id, "overlap_s": overlap.total_seconds()}
            tx.publish("webhook.endpoint.secret_rotated", facts)
            sealed = self._sealed(kept, row.organization_id, row.endpoint_id)
            return store.update_endpoint(tx, row, sealed)

        endpoint = await self._change(request.endpoint_id, change)
        secret = signing.secret_text(key.secret)
        return pb.RotateEndpointSecretResponse(endpoint=endpoint, secret=secret)

    async def SetEndpointHeaders(
        self, request: pb.SetEndpointHeadersRequest, context_: Any
    ) -> pb.SetEndpointHeadersResponse:
        headers = domain.check_headers(request.headers)

        def change(tx: Tx, row: Any) -> Any:
            kept = credentials.unseal(self._vault, row).with_headers(headers)
            sealed = self._sealed(kept, row.organization_id, row.endpoint_id)
            return store.update_endpoint(tx, row, sealed)

        endpoint = await self._change(request.endpoint_id, change)
        return pb.SetEndpointHeadersResponse(endpoint=endpoint)

    async def SetEndpointCertificate(
        self, request: pb.SetEndpointCertificateRequest, context_: Any
    ) -> pb.SetEndpointCertificateResponse:
        pair = request.certificate_pem, request.private_key_pem
        facts = certificates.facts(*pair, self._clock.now()) if any(pair) else None

        def change(tx: Tx, row: Any) -> Any:
            kept = credentials.unseal(self._vault, row).with_certificate(*pair)
            sealed = self._sealed(kept, row.organization_id, row.endpoint_id)
            return store.update_endpoint(tx, row, {**sealed, "certificate": facts})

        endpoint = await self._change(request.endpoint_id, change)
        return pb.SetEndpointCertificateResponse(endpoint=endpoint)

    async def ListSigningKeys(
        self, request: pb.ListSigningKeysRequest, context_: Any
    ) -> pb.ListSigningKeysResponse:
        organization_id = context.organization()
        size, before = pages.size(request.page_size), pages.after(request.page_token)
        rows = await self._database.read(
            lambda tx: store.list_endpoints(tx, organization_id, before, size + 1, signing_v1a=True)
        )
        shown, more = pages.cut(rows, size, lambda row: (row.endpoint_id,))
        now = self._clock.now()
        keys = [key for row in shown for key in wire.signing_keys(row, now, row.endpoint_id)]
        return pb.ListSigningKeysResponse(keys=keys, next_page_token=more)

    # Deliveries

    async def TestEndpoint(
        self, request: pb.TestEndpointRequest, context_: Any
    ) -> pb.TestEndpointResponse:
        organization_id = context.organization()
        endpoint_id = ids.check("endpoint_id", "whe", request.endpoint_id)

        def unit(tx: Tx) -> pb.Delivery:
            store.endpoint(tx, organization_id, endpoint_id)
            store.endpoint_to_send_to(tx, organization_id, endpoint_id)
            event = wire.test_announcement(ids.new("evt"), organization_id, endpoint_id, tx.now)
            store.keep_test(tx, event)
            (delivery_id,) = store.add_deliveries(tx, [(endpoint_id, event)])
            return wire.delivery(store.delivery(tx, organization_id, delivery_id), tx.now)

        return pb.TestEndpointResponse(delivery=await self._database.write(unit))

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
            store.replay(tx, organization_id, [delivery_id])
            return wire.delivery(store.delivery(tx, organization_id, delivery_id), tx.now)

        return pb.ReplayDeliveryResponse(delivery=await self._database.write(unit))

    async def RecoverEndpoint(
        self, request: pb.RecoverEndpointRequest, context_: Any
    ) -> pb.RecoverEndpointResponse:
        organization_id = context.organization()
        endpoint_id = ids.check("endpoint_id", "whe", request.endpoint_id)
        since, until = wire.recovered_time(request, self._clock.now())
        row = await self._database.read(lambda tx: store.endpoint(tx, organization_id, endpoint_id))
        done = await recovery.recover(
            self._database, row, since, until, include_missed=request.include_missed
        )
        return pb.RecoverEndpointResponse(
            replayed_count=done.replayed, missed_count=done.missed, more=done.more
        )

    # The feed

    async def ListEvents(
        self, request: pb.ListEventsRequest, context_: Any
    ) -> pb.ListEventsResponse:
        organization_id, size = context.organization(), pages.size(request.page_size)
        if request.run_id:
            ids.check("run_id", "run", request.run_id)
        if request.after < 0:
            raise errors.Invalid("after", "must not be negative")
        patterns, wait_s = domain.check_event_types(request.event_types), wire.wait_s(request)
        until, after = self._clock.monotonic() + wait_s, request.after
        async with self._signals.subscribe(store.ANNOUNCED) as hints:
            while True:
                rows, after = await self._database.read(
                    lambda tx, after=after: store.list_events(
                        tx, organization_id, after, patterns, request.run_id, size
                    )
                )
                left_s = until - self._clock.monotonic()
                if rows or left_s <= 0:
                    events = [wire.announced(row) for row in rows]
                    return pb.ListEventsResponse(events=events, next_after=after)
                await hints.wait(min(left_s, 1.0))

    async def _change(self, endpoint_id: str, change: Callable[[Tx, Any], Any]) -> pb.Endpoint:
        """Changes an endpoint's row in one unit."""
        organization_id = context.organization()
        ids.check("endpoint_id", "whe", endpoint_id)

        def unit(tx: Tx) -> pb.Endpoint:
            changed = change(tx, store.endpoint(tx, organization_id, endpoint_id))
            return wire.endpoint(changed, tx.now)

        return await self._database.write(unit)

    def _sealed(self, kept: Credentials, organization_id: str, endpoint_id: str) -> dict[str, Any]:
        return {
            "sealed": credentials.seal(self._vault, kept, organization_id, endpoint_id),
            "public_keys": kept.public_keys,
            "header_names": sorted(kept.headers),
        }

    def _checked(
        self, request: pb.CreateEndpointRequest | pb.UpdateEndpointRequest
    ) -> dict[str, Any]:
        if not request.url:
            raise errors.Invalid("url", "is required")
        for field, prefix in (("run_id", "run"), ("workflow_id", "wf")):
            if value := getattr(request, field):
                ids.check(field, prefix, value)
        return {
            "url": egress.check_url(request.url, self._rules),
            "event_types": domain.check_event_types(request.event_types),
            "description": domain.check_description(request.description),
            "filter": filters.check(request.filter),
            "run_id": request.run_id,
            "workflow_id": request.workflow_id,
            "sign_v1a": request.sign_v1a,
            "ordered": request.ordered,
            **domain.check_pace(request.rate_limit_per_s, request.max_in_flight),
        }
