"""Events as they were announced: kept once, fanned out to endpoints, listed for those who pull."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from libs.db import Tx
from services.webhook import domain, filters
from services.webhook.domain import TEST_EVENT, Announcement
from services.webhook.store.deliveries import add_deliveries
from services.webhook.store.tables import (
    ANNOUNCED,
    DUE,
    endpoints,
    events,
    feeds,
    padded,
)

MOST_SCANNED = 2_000
_keys = sa.bindparam("keys", expanding=True)
_KNOWN = sa.select(events.c.event_id).where(events.c.event_id.in_(_keys))
_POSITIONS = sa.select(feeds).where(feeds.c.organization_id.in_(_keys))
_ADD_FEED = sa.insert(feeds)
_MOVE_FEED = (
    sa.update(feeds)
    .where(feeds.c.organization_id == sa.bindparam("key"))
    .values(position=sa.bindparam("last"))
)
_ADD = sa.insert(events)
_LISTENING = sa.select(
    endpoints.c.endpoint_id,
    endpoints.c.organization_id,
    endpoints.c.event_types,
    endpoints.c.filter,
    endpoints.c.run_id,
    endpoints.c.workflow_id,
).where(
    endpoints.c.organization_id.in_(_keys),
    endpoints.c.disabled.is_(False),
    endpoints.c.deleted_at.is_(None),
)
_WORKFLOWS = (
    sa.select(events.c.run_id, events.c.workflow_id)
    .where(
        events.c.organization_id.in_(_keys),
        events.c.run_id.in_(sa.bindparam("runs", expanding=True)),
        events.c.workflow_id != "",
    )
    .distinct()
)
_OF_RUN = (
    sa.select(events)
    .where(
        events.c.organization_id == sa.bindparam("organization_id"),
        events.c.run_id == sa.bindparam("run_id"),
    )
    .order_by(events.c.position)
)
_AFTER = (
    sa.select(events)
    .where(
        events.c.organization_id == sa.bindparam("organization_id"),
        events.c.position > sa.bindparam("after"),
    )
    .order_by(events.c.position)
    .limit(sa.bindparam("limit"))
)


def announce(tx: Tx, arrived: Sequence[Announcement]) -> None:
    """Keeps the events that are new and makes a delivery for each endpoint that wants one."""
    by_id = {event.event_id: event for event in arrived}
    known = set(tx.execute(_KNOWN, {"keys": padded(list(by_id))}).scalars())
    fresh = [event for event_id, event in by_id.items() if event_id not in known]
    if not fresh:
        return
    organizations = padded(sorted({event.organization_id for event in fresh}))
    listening = tx.execute(_LISTENING, {"keys": organizations}).all()
    _keep(tx, fresh, organizations)
    tx.notify(ANNOUNCED)
    if not listening:
        return
    told = _with_workflows(tx, fresh, listening, organizations)
    by_organization: defaultdict[str, list[Any]] = defaultdict(list)
    for row in listening:
        by_organization[row.organization_id].append(row)
    wanted = [
        (row.endpoint_id, event)
        for event in told
        for row in by_organization[event.organization_id]
        if wants(row, event)
    ]
    add_deliveries(tx, wanted)


def keep_test(tx: Tx, event: Announcement) -> None:
    """Keeps a test event, which is in nobody's row of events."""
    tx.execute(_ADD, _row(event, 0, tx.now))


def wants(endpoint: Any, event: Announcement) -> bool:
    """Whether an endpoint is to be told of an event of its organisation."""
    return (
        domain.wants(endpoint.event_types, event.type)
        and endpoint.run_id in ("", event.run_id)
        and endpoint.workflow_id in ("", event.workflow_id)
        and filters.accepts(endpoint.filter, event)
    )


def _keep(tx: Tx, fresh: list[Announcement], organizations: list[str]) -> None:
    last = {
        row.organization_id: row.position for row in tx.execute(_POSITIONS, {"keys": organizations})
    }
    missing = set(organizations) - set(last)
    if missing:
        last |= dict.fromkeys(missing, 0)
        tx.execute(_ADD_FEED, [{"organization_id": name, "position": 0} for name in missing])
    rows = []
    for event in fresh:
        last[event.organization_id] += 1
        rows.append(_row(event, last[event.organization_id], tx.now))
    tx.execute(_ADD, rows)
    tx.execute(_MOVE_FEED, [{"key": name, "last": position} for name, position in last.items()])


def _row(event: Announcement, position: int, now: datetime) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "organization_id": event.organization_id,
        "position": position,
        "event_type": event.type,
        "run_id": event.run_id,
        "workflow_id": event.workflow_id,
        "body": event.body,
        "announced_at": now,
    }


def _with_workflows(
    tx: Tx, fresh: list[Announcement], listening: Sequence[Any], organizations: list[str]
) -> list[Announcement]:
    """The events under the workflows of their runs, which only a run's first and last event name.

    Events of one run come over several streams: some may have come before the one that names its
    workflow. They are told now; an endpoint that had one is not told of it again.
    """
    if not any(row.workflow_id for row in listening):
        return fresh
    runs = sorted({event.run_id for event in fresh if event.run_id})
    if not runs:
        return fresh
    rows = tx.execute(_WORKFLOWS, {"keys": organizations, "runs": padded(runs)})
    workflow_of = {row.run_id: row.workflow_id for row in rows}
    told = [event.of_workflow(workflow_of.get(event.run_id, "")) for event in fresh]
    ids = {event.event_id for event in fresh}
    for event in fresh:
        if event.workflow_id:
            parameters = {"organization_id": event.organization_id, "run_id": event.run_id}
            earlier = tx.execute(_OF_RUN, parameters).all()
            told += [
                Announcement.of(row).of_workflow(event.workflow_id)
                for row in earlier
                if row.event_id not in ids
            ]
            ids |= {row.event_id for row in earlier}
    return told


def catch_up(tx: Tx, endpoint: Any) -> None:
    """Tells a new endpoint of one run what was announced about that run before."""
    parameters = {"organization_id": endpoint.organization_id, "run_id": endpoint.run_id}
    told = [Announcement.of(row) for row in tx.execute(_OF_RUN, parameters)]
    workflow_id = next((event.workflow_id for event in told if event.workflow_id), "")
    known = [event.of_workflow(workflow_id) for event in told if event.type != TEST_EVENT]
    add_deliveries(tx, [(endpoint.endpoint_id, event) for event in known if wants(endpoint, event)])
    tx.notify(DUE)


def list_events(
    tx: Tx, organization_id: str, after: int, patterns: Iterable[str], run_id: str, limit: int
) -> tuple[list[Any], int]:
    """Events after a position, and the position up to which there are no others of that kind."""
    patterns, found, scanned = list(patterns), [], 0
    while len(found) < limit and scanned < MOST_SCANNED:
        rows = tx.execute(
            _AFTER, {"organization_id": organization_id, "after": after, "limit": limit}
        ).all()
        for row in rows:
            after, scanned = row.position, scanned + 1
            if domain.wants(patterns, row.event_type) and run_id in ("", row.run_id):
                found.append(row)
                if len(found) == limit:
                    break
        if len(rows) < limit:
            break
    return found, after
