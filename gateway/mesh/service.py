"""The door of MeshService: the gateway answers these itself, for no service stands behind them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.mesh import store, wire
from gateway.store import operator
from gateway.upstreams import Guard
from libs import context, errors, pages, tuning
from libs.db import Database, Tx
from libs.registry import ChangedSettings, Registry, Replica
from libs.rpc import policy
from podium.mesh.v1 import mesh_pb2 as pb

log = logging.getLogger(__name__)
Handler = Callable[[bytes], Awaitable[bytes]]
Changed = Callable[[ChangedSettings], Awaitable[None]]
PARTS = (*policy.SERVICES, "gateway")


class MeshRpcs:
    """The mesh's own RPCs, for keys of the operator's organisation."""

    def __init__(
        self, database: Database, registry: Registry, guards: Mapping[str, Guard], changed: Changed
    ) -> None:
        self._db = database
        self._registry = registry
        self._guards = guards
        self._changed = changed
        self._known: tuple[Replica, ...] = ()

    def handlers(self) -> dict[str, Handler]:
        """What answers each RPC, by its path."""
        service = pb.DESCRIPTOR.services_by_name["MeshService"]
        return {
            f"/{service.full_name}/{method.name}": self._handler(
                getattr(pb, method.input_type.name), getattr(self, method.name)
            )
            for method in service.methods
        }

    async def GetMesh(self, request: pb.GetMeshRequest) -> pb.GetMeshResponse:
        answers = True
        try:
            self._known = (await self._registry.list()).replicas
        except errors.Unavailable:
            answers = False
        return pb.GetMeshResponse(
            upstreams={name: wire.upstream(guard) for name, guard in self._guards.items()},
            replicas=map(wire.replica, self._known),
            registry_answers=answers,
        )

    async def ListSettings(self, request: pb.ListSettingsRequest) -> pb.ListSettingsResponse:
        now = await self._db.read(store.settings)
        return pb.ListSettingsResponse(
            version=now.version,
            settings=(wire.setting(knob, now.values) for knob in tuning.KNOBS.values()),
        )

    async def ChangeSetting(self, request: pb.ChangeSettingRequest) -> pb.ChangeSettingResponse:
        setting = tuning.check(request.name, request.scope, request.value, PARTS)
        present = context.current()
        by = (present.caller, present.organization_id, present.request_id)
        after = tuning.KNOBS[request.name].plain(request.value)

        def unit(tx: Tx) -> tuple[str, ChangedSettings]:
            before = store.settings(tx).values.get(setting, "")
            return before, store.change(tx, setting, after, by)

        before, now = await self._db.write(unit)
        log.info("%s: %s -> %s by %s", setting, before or "-", after or "-", present.caller)
        await self._changed(now)
        return pb.ChangeSettingResponse(version=now.version, before=before, after=after)

    async def ListSettingChanges(
        self, request: pb.ListSettingChangesRequest
    ) -> pb.ListSettingChangesResponse:
        size, after = pages.size(request.page_size), pages.after(request.page_token)
        if after and not after.isdigit():
            raise errors.Invalid("page_token", "is not the next_page_token of a page before")
        before = int(after or store.NEWEST)
        rows = await self._db.read(lambda tx: store.changes(tx, before, size + 1))
        shown, more = pages.cut(rows, size, lambda change: (str(change.version),))
        return pb.ListSettingChangesResponse(changes=map(wire.change, shown), next_page_token=more)

    def _handler(self, kind: Any, answer: Callable[[Any], Awaitable[Any]]) -> Handler:
        async def handle(request: bytes) -> bytes:
            await self._check_operator()
            return (await answer(kind.FromString(request))).SerializeToString()

        return handle

    async def _check_operator(self) -> None:
        organization_id = context.organization()
        if organization_id != await self._db.read(operator):
            raise errors.PermissionDenied(
                "the mesh itself is for the operator's organisation alone", reason="NOT_OPERATOR"
            )
