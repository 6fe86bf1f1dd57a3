"""Endpoints as rows: adding, finding, changing and removing them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from libs import errors
from libs.db import Tx
from services.webhook.store.deliveries import drop
from services.webhook.store.tables import DUE, deliveries, endpoints

_BY_ID = sa.select(endpoints).where(
    endpoints.c.endpoint_id == sa.bindparam("endpoint_id"),
    endpoints.c.organization_id == sa.bindparam("organization_id"),
)
# What an endpoint has to its name after somebody mended it.
_HEALTHY: dict[str, Any] = {
    "failing_since": None,
    "failures": 0,
    "trips": 0,
    "paused_until": None,
    "pause_reason": "",
}


def add_endpoint(tx: Tx, organization_id: str, endpoint_id: str, values: dict[str, Any]) -> Any:
    """Adds an enabled endpoint and answers its row."""
    row = {
        "endpoint_id": endpoint_id,
        "organization_id": organization_id,
        "disabled": False,
        "disabled_reason": "",
        "version": 1,
        "created_at": tx.now,
        **values,
    }
    return tx.execute(sa.insert(endpoints).values(**row).returning(endpoints)).one()


def endpoint(tx: Tx, organization_id: str, endpoint_id: str, *, removed: bool = False) -> Any:
    """An endpoint's row; NotFound for one that is removed (unless wanted) or somebody else's."""
    wanted = {"endpoint_id": endpoint_id, "organization_id": organization_id}
    row = tx.execute(_BY_ID, wanted).first()
    if row is None or (row.deleted_at is not None and not removed):
        raise errors.NotFound("endpoint", endpoint_id)
    return row


def endpoint_to_send_to(tx: Tx, organization_id: str, endpoint_id: str) -> Any:
    """An endpoint's row; FailedPrecondition when nothing may be sent to it."""
    row = endpoint(tx, organization_id, endpoint_id, removed=True)
    if row.deleted_at is not None:
        raise errors.FailedPrecondition(
            f"endpoint {endpoint_id} was removed", reason="ENDPOINT_REMOVED"
        )
    if row.disabled:
        raise errors.FailedPrecondition(
            f"endpoint {endpoint_id} is disabled; enable it first", reason="ENDPOINT_DISABLED"
        )
    return row


def list_endpoints(
    tx: Tx, organization_id: str, before: str, limit: int, *, signing_v1a: bool = False
) -> list[Any]:
    """Endpoints newest first, from the one after `before` on."""
    query = sa.select(endpoints).where(
        endpoints.c.organization_id == organization_id, endpoints.c.deleted_at.is_(None)
    )
    if signing_v1a:
        query = query.where(endpoints.c.sign_v1a.is_(True))
    if before:
        query = query.where(endpoints.c.endpoint_id < before)
    return list(tx.execute(query.order_by(endpoints.c.endpoint_id.desc()).limit(limit)))


def update_endpoint(tx: Tx, row: Any, values: dict[str, Any], *, mended: bool = False) -> Any:
    """Replaces values of an endpoint; one that was mended begins anew, without its pause."""
    if mended:
        values = values | _HEALTHY
    changed = tx.execute(
        sa.update(endpoints)
        .where(
            endpoints.c.endpoint_id == row.endpoint_id,
            endpoints.c.organization_id == row.organization_id,
            endpoints.c.version == row.version,
            endpoints.c.deleted_at.is_(None),
        )
        .values(version=row.version + 1, **values)
        .returning(endpoints)
    ).first()
    if changed is None:
        raise errors.Aborted("the endpoint was changed meanwhile", reason="ETAG_MISMATCH")
    tx.notify(DUE)
    return changed


def remove_endpoint(tx: Tx, row: Any) -> None:
    """Removes an endpoint and its credentials, and drops what was to go there."""
    if row.deleted_at is not None:
        return
    nothing = {"sealed": b"", "public_keys": [], "header_names": [], "certificate": None}
    tx.execute(
        sa.update(endpoints)
        .where(
            endpoints.c.endpoint_id == row.endpoint_id,
            endpoints.c.organization_id == row.organization_id,
        )
        .values(deleted_at=tx.now, version=row.version + 1, **nothing)
    )
    drop(tx, row.organization_id, deliveries.c.endpoint_id == row.endpoint_id)
