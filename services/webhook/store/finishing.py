"""Recording attempts, many in one commit: the log, the deliveries, how the endpoints are doing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from libs import db
from libs.db import Tx
from services.webhook import health
from services.webhook.domain import Attempt, Job, State, Verdict
from services.webhook.health import Circumstances, Health
from services.webhook.store.tables import attempts, deliveries, endpoints, padded

_ROWS = sa.select(
    deliveries.c.delivery_id,
    deliveries.c.lease_owner,
    deliveries.c.lease_fence,
    deliveries.c.lease_until,
    deliveries.c.round,
    deliveries.c.state,
    deliveries.c.tries,
    deliveries.c.attempt_count,
    deliveries.c.due_at,
    deliveries.c.created_at,
    deliveries.c.ended_at,
).where(deliveries.c.delivery_id.in_(sa.bindparam("keys", expanding=True)))
_COLUMNS = ("state", "tries", "attempt_count", "due_at", "ended_at", "lease_owner", "lease_until")
_SET = (
    sa.update(deliveries)
    .where(deliveries.c.delivery_id == sa.bindparam("key"))
    .values({name: sa.bindparam(f"new_{name}", type_=deliveries.c[name].type) for name in _COLUMNS})
)
_LOG = sa.insert(attempts)
_HEALTHS = sa.select(endpoints).where(
    endpoints.c.endpoint_id.in_(sa.bindparam("keys", expanding=True))
)
_SET_HEALTH = (
    sa.update(endpoints)
    .where(endpoints.c.endpoint_id == sa.bindparam("key"))
    .values(
        failing_since=sa.bindparam("new_failing_since", type_=db.Timestamp()),
        failures=sa.bindparam("new_failures"),
        trips=sa.bindparam("new_trips"),
        paused_until=sa.bindparam("new_paused_until", type_=db.Timestamp()),
        pause_reason=sa.bindparam("new_pause_reason"),
    )
)
_DISABLE = (
    sa.update(endpoints)
    .where(endpoints.c.endpoint_id == sa.bindparam("key"), endpoints.c.disabled.is_(False))
    .values(
        disabled=True,
        disabled_reason=sa.bindparam("reason"),
        version=endpoints.c.version + 1,
    )
)


@dataclass(frozen=True)
class Result:
    """How one attempt at a claimed delivery went, and what is to become of it."""

    job: Job
    attempt: Attempt
    verdict: Verdict
    # The breaker of this replica opens with it.
    tripping: bool = False


@dataclass(frozen=True)
class Rules:
    """What the settings say about failing endpoints."""

    patience: timedelta
    scale: float


def finish(tx: Tx, results: Sequence[Result], rules: Rules) -> None:
    """Logs the attempts, gives the leases back, and settles what becomes of the deliveries.

    The log is kept in any case: the endpoint may have seen the message. A delivery that was taken
    over or replayed meanwhile stays as it is; one that was dropped counts as delivered if it was.
    """
    if not results:
        return
    keys = padded([result.job.delivery_id for result in results])
    rows = {row.delivery_id: row._asdict() for row in tx.execute(_ROWS, {"keys": keys})}
    kept = [result for result in results if result.job.delivery_id in rows]
    logged = []
    for result in kept:
        row = rows[result.job.delivery_id]
        row["attempt_count"] += 1
        logged.append(_log_row(result, row["attempt_count"]))
        if _settle(tx, row, result):
            _tell(tx, row, result)
    if not logged:
        return
    tx.execute(_LOG, logged)
    tx.execute(
        _SET,
        [
            {"key": key, **{f"new_{name}": row[name] for name in _COLUMNS}}
            for key, row in rows.items()
        ],
    )
    _judge_endpoints(tx, kept, rules)


def _settle(tx: Tx, row: dict[str, Any], result: Result) -> bool:
    """Changes a delivery's row in hand as the verdict says; True when it is dead by it."""
    job, verdict = result.job, result.verdict
    if row["lease_fence"] == job.fence:
        row["lease_owner"], row["lease_until"] = "", None
    ours = row["lease_fence"] == job.fence and row["round"] == job.round
    dropped = row["state"] == State.DROPPED.value and verdict.state is State.DELIVERED
    if not ours or not (row["state"] == State.PENDING.value or dropped):
        return False
    row["state"], row["tries"] = verdict.state.value, row["tries"] + 1
    if verdict.state is not State.PENDING:
        row["ended_at"] = tx.now
    elif not job.endpoint.ordered:
        # In order the message keeps its place, and the whole lane waits instead.
        row["due_at"] = tx.now + timedelta(seconds=verdict.delay_s)
    return verdict.state is State.DEAD


def _log_row(result: Result, number: int) -> dict[str, Any]:
    attempt = result.attempt
    return {
        "delivery_id": result.job.delivery_id,
        "number": number,
        "organization_id": result.job.organization_id,
        "started_at": attempt.started_at,
        "duration_ms": attempt.duration_ms,
        "first_byte_ms": attempt.first_byte_ms,
        "http_status": attempt.http_status,
        "error_class": attempt.error_class,
        "error_message": attempt.error_message,
        "response_excerpt": attempt.response_excerpt,
    }


def _tell(tx: Tx, row: dict[str, Any], result: Result) -> None:
    job, attempt = result.job, result.attempt
    facts = {
        "delivery_id": job.delivery_id,
        "endpoint_id": job.endpoint_id,
        "event_id": job.event_id,
        "event_type": job.event_type,
        "attempt_count": row["attempt_count"],
        "http_status": attempt.http_status,
        "error_class": attempt.error_class,
        "error_message": attempt.error_message,
        "endpoint_disabled": result.verdict.endpoint_gone,
    }
    whose = {"organization_id": job.organization_id, "run_id": job.run_id}
    tx.publish("webhook.failed", facts, **whose)


def _judge_endpoints(tx: Tx, results: Sequence[Result], rules: Rules) -> None:
    """Writes only what changes: an endpoint that is doing well costs nothing here."""
    by_endpoint: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_endpoint[result.job.endpoint_id].append(result)
    changing = [
        endpoint_id
        for endpoint_id, own in by_endpoint.items()
        if any(one.attempt.error_class or one.job.endpoint.failing_since for one in own)
    ]
    if not changing:
        return
    for row in tx.execute(_HEALTHS, {"keys": padded(changing)}):
        before = now = Health.of(row)
        for result in by_endpoint[row.endpoint_id]:
            now = _judged(tx, now, row, result, rules)
        if now != before:
            values = {f"new_{name}": value for name, value in asdict(now).items()}
            tx.execute(_SET_HEALTH, {"key": row.endpoint_id, **values})
        gone = any(one.verdict.endpoint_gone for one in by_endpoint[row.endpoint_id])
        if gone or now.is_hopeless(tx.now, rules.patience):
            disable(tx, row, "gone" if gone else "failing", now)


def _judged(tx: Tx, now: Health, row: Any, result: Result, rules: Rules) -> Health:
    if not result.attempt.error_class:
        return health.after_success(now)
    how = Circumstances(
        now=tx.now,
        ordered=row.ordered,
        tripping=result.tripping,
        trips_before=result.job.endpoint.trips,
        scale=rules.scale,
    )
    return health.after_failure(now, result.attempt, result.verdict, how)


def disable(tx: Tx, row: Any, reason: str, now: Health) -> None:
    """Stops sending to an endpoint and tells the organisation by its other endpoints."""
    if row.deleted_at is not None:
        return
    if tx.execute(_DISABLE, {"key": row.endpoint_id, "reason": reason}).rowcount == 0:
        return
    facts: dict[str, Any] = {
        "endpoint_id": row.endpoint_id,
        "description": row.description,
        "reason": reason,
        "failures": now.failures,
    }
    tx.publish("webhook.endpoint.disabled", facts, organization_id=row.organization_id, run_id="")
