"""Taking what is due: lanes with something waiting, their shares, and the leases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from libs import db
from libs.db import Tx
from services.webhook.domain import Job
from services.webhook.lanes import Allotment, Bucket, Lane, allot
from services.webhook.store.tables import WAITING, deliveries, endpoints, events, padded

LANES_EACH = 64
_OF_LANE = (
    "endpoint_id",
    "organization_id",
    "ordered",
    "trips",
    "max_in_flight",
    "rate_limit_per_s",
    "bucket_tokens",
    "bucket_at",
)
# What sending needs to know of an endpoint, and what is judged with its answer.
_OF_TARGET = (
    "endpoint_id",
    "organization_id",
    "version",
    "url",
    "sealed",
    "sign_v1a",
    "ordered",
    "trips",
    "failing_since",
)
_now = sa.bindparam("now", type_=db.Timestamp())


@dataclass(frozen=True)
class Limits:
    """How much may be under way: in this replica now, to an endpoint and for an organisation."""

    slots: int
    per_endpoint: int
    per_organization: int


@dataclass(frozen=True)
class Claim:
    """What was taken; `wait_s` is how soon there may be more without anybody's saying so."""

    jobs: list[Job]
    wait_s: float | None
    again: bool = False


def _lanes() -> sa.Select[*tuple[Any, ...]]:
    """Endpoints with something due that nothing holds up, those that wait longest first.

    It steps through the index of what waits from endpoint to endpoint, so that a backlog of one
    costs no more than a single message. Each organisation has so many lanes and no more: the many
    endpoints of one hide nobody else's.
    """
    first = sa.select(sa.func.min(deliveries.c.endpoint_id).label("endpoint_id")).where(WAITING)
    lane = first.cte("lane", recursive=True)
    following = (
        sa.select(sa.func.min(deliveries.c.endpoint_id))
        .where(WAITING, deliveries.c.endpoint_id > lane.c.endpoint_id)
        .scalar_subquery()
    )
    lane = lane.union_all(sa.select(following).where(lane.c.endpoint_id.is_not(None)))
    oldest = (
        sa.select(sa.func.min(deliveries.c.due_at))
        .where(WAITING, deliveries.c.endpoint_id == lane.c.endpoint_id)
        .scalar_subquery()
    )
    due = (
        sa.select(*(endpoints.c[name] for name in _OF_LANE), oldest.label("oldest"))
        .join(lane, lane.c.endpoint_id == endpoints.c.endpoint_id)
        .where(
            endpoints.c.disabled.is_(False),
            endpoints.c.deleted_at.is_(None),
            sa.or_(endpoints.c.paused_until.is_(None), endpoints.c.paused_until <= _now),
        )
        .subquery()
    )
    place = sa.func.row_number().over(partition_by=due.c.organization_id, order_by=due.c.oldest)
    placed = sa.select(due, place.label("place")).where(due.c.oldest <= _now).subquery()
    return sa.select(placed).where(placed.c.place <= LANES_EACH).order_by(placed.c.oldest)


_LANES = _lanes()
_UNDER_WAY = (
    sa.select(
        deliveries.c.endpoint_id, deliveries.c.organization_id, sa.func.count().label("number")
    )
    .where(deliveries.c.lease_until.is_not(None), deliveries.c.lease_until >= _now)
    .group_by(deliveries.c.endpoint_id, deliveries.c.organization_id)
)
_free = sa.or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until < _now)
_NEXT = (
    sa.select(deliveries, events.c.body)
    .join(events, events.c.event_id == deliveries.c.event_id)
    .where(
        deliveries.c.endpoint_id == sa.bindparam("endpoint_id"),
        WAITING,
        deliveries.c.due_at <= _now,
        _free,
    )
    .order_by(deliveries.c.due_at, deliveries.c.delivery_id)
    .limit(sa.bindparam("limit"))
)
_TARGETS = sa.select(*(endpoints.c[name] for name in _OF_TARGET)).where(
    endpoints.c.endpoint_id.in_(sa.bindparam("keys", expanding=True))
)
_TAKE = (
    sa.update(deliveries)
    .where(deliveries.c.delivery_id == sa.bindparam("key"))
    .values(
        lease_owner=sa.bindparam("owner"),
        lease_from=deliveries.c.lease_owner,
        lease_fence=deliveries.c.lease_fence + 1,
        lease_until=sa.bindparam("until", type_=db.Timestamp()),
    )
)
_RENEW = (
    sa.update(deliveries)
    .where(
        deliveries.c.delivery_id == sa.bindparam("key"),
        deliveries.c.lease_fence == sa.bindparam("fence"),
        deliveries.c.lease_owner == sa.bindparam("owner"),
    )
    .values(lease_until=sa.bindparam("until", type_=db.Timestamp()))
)
_HAND_BACK = (
    sa.update(deliveries)
    .where(
        deliveries.c.delivery_id == sa.bindparam("key"),
        deliveries.c.lease_fence == sa.bindparam("fence"),
    )
    .values(lease_owner="", lease_until=None)
)
_FILL = (
    sa.update(endpoints)
    .where(endpoints.c.endpoint_id == sa.bindparam("key"))
    .values(
        bucket_tokens=sa.bindparam("tokens"),
        bucket_at=sa.bindparam("at", type_=db.Timestamp()),
    )
)


def anything_due(tx: Tx) -> bool:
    """Whether a lane has something to send; costs a tenth of taking it."""
    return tx.execute(_LANES, {"now": tx.now}).first() is not None


def claim(tx: Tx, limits: Limits, owner: str, ttl_s: float) -> Claim:
    """Takes what is due within the limits, in turns, and leases it to this replica.

    Units are carried out one at a time among all replicas, so that what is counted here holds.
    """
    now = tx.now
    rows = tx.execute(_LANES, {"now": now}).all()
    if not rows:
        return Claim([], None)
    of_endpoint: Counter[str] = Counter()
    of_organization: Counter[str] = Counter()
    for held in tx.execute(_UNDER_WAY, {"now": now}):
        of_endpoint[held.endpoint_id] += held.number
        of_organization[held.organization_id] += held.number
    buckets = {
        row.endpoint_id: Bucket(row.bucket_tokens, row.bucket_at).filled(row.rate_limit_per_s, now)
        for row in rows
        if row.rate_limit_per_s > 0
    }
    lanes = [
        Lane(row.endpoint_id, row.organization_id, _room(row, of_endpoint, buckets, limits))
        for row in rows
    ]
    allotment = allot(lanes, limits.slots, of_organization, limits.per_organization)
    jobs = _take(tx, allotment)
    _lease(tx, jobs, owner, now + timedelta(seconds=ttl_s))
    taken = Counter(job.endpoint_id for job in jobs)
    _drain_buckets(tx, buckets, taken)
    again = allotment.exhausted and len(jobs) < sum(allotment.shares.values())
    return Claim(jobs, _wait_s(rows, buckets, taken), again)


def _room(row: Any, under_way: Counter[str], buckets: dict[str, Bucket], limits: Limits) -> int:
    """How many messages more an endpoint may be sent now."""
    # After a pause of the breaker one message shows whether it may close.
    most = 1 if row.ordered or row.trips > 0 else (row.max_in_flight or limits.per_endpoint)
    room = most - under_way[row.endpoint_id]
    bucket = buckets.get(row.endpoint_id)
    return room if bucket is None else min(room, int(bucket.tokens))


def _take(tx: Tx, allotment: Allotment) -> list[Job]:
    if not allotment.shares:
        return []
    found = tx.execute(_TARGETS, {"keys": padded(list(allotment.shares))})
    by_id = {row.endpoint_id: row for row in found}
    jobs = []
    for endpoint_id, share in allotment.shares.items():
        wanted = {"endpoint_id": endpoint_id, "now": tx.now, "limit": share}
        jobs += [_job(row, by_id[endpoint_id]) for row in tx.execute(_NEXT, wanted)]
    return jobs


def _job(row: Any, endpoint: Any) -> Job:
    return Job(
        delivery_id=row.delivery_id,
        fence=row.lease_fence + 1,
        round=row.round,
        tries=row.tries,
        organization_id=row.organization_id,
        event_id=row.event_id,
        event_type=row.event_type,
        run_id=row.run_id,
        body=row.body,
        endpoint=endpoint,
    )


def _lease(tx: Tx, jobs: list[Job], owner: str, until: datetime) -> None:
    if jobs:
        tx.execute(
            _TAKE, [{"key": job.delivery_id, "owner": owner, "until": until} for job in jobs]
        )


def _drain_buckets(tx: Tx, buckets: dict[str, Bucket], taken: Counter[str]) -> None:
    drained = [
        {"key": name, "tokens": bucket.taken(taken[name]).tokens, "at": bucket.at}
        for name, bucket in buckets.items()
        if taken[name]
    ]
    if drained:
        tx.execute(_FILL, drained)


def _wait_s(rows: Iterable[Any], buckets: dict[str, Bucket], taken: Counter[str]) -> float | None:
    """How soon an empty bucket has its next token; None when no limit holds anybody up."""
    waits = []
    for row in rows:
        if bucket := buckets.get(row.endpoint_id):
            left = bucket.taken(taken[row.endpoint_id])
            if left.tokens < 1:
                waits.append(left.wait_s(row.rate_limit_per_s))
    return min(waits, default=None)


def renew(tx: Tx, jobs: Iterable[Job], owner: str, ttl_s: float) -> None:
    """Prolongs the leases that are still this replica's."""
    until = tx.now + timedelta(seconds=ttl_s)
    held = [
        {"key": job.delivery_id, "fence": job.fence, "owner": owner, "until": until} for job in jobs
    ]
    if held:
        tx.execute(_RENEW, held)


def hand_back(tx: Tx, jobs: Iterable[Job]) -> None:
    """Ends the leases of deliveries that were not carried out."""
    held = [{"key": job.delivery_id, "fence": job.fence} for job in jobs]
    if held:
        tx.execute(_HAND_BACK, held)
