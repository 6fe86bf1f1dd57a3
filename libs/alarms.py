"""alert.raised: what a person should look at, told like every other event.

Run keeps the alerts of all services, so that `podium alerts` shows them; webhooks deliver them.
"""

from __future__ import annotations

import logging
from typing import Any

from libs import db, ids, metrics
from libs.db import Database
from podium.common.v1 import event_pb2

ALERT = "alert.raised"
log = logging.getLogger(__name__)


async def sound(
    database: Database,
    reason: str,
    about: dict[str, Any],
    *,
    organization_id: str,
    run_id: str = "",
) -> None:
    """Raises an alert in a commit of its own; it never raises, for something else has already."""

    def unit(tx: db.Tx) -> None:
        data = {"alert_id": ids.new("alrt"), "reason": reason, "run_id": run_id, **about}
        tx.publish(
            ALERT,
            data,
            organization_id=organization_id,
            run_id=run_id,
            workflow_run_id="",
            task_id="",
        )

    try:
        await database.write(unit)
    except Exception as error:  # noqa: BLE001
        log.error("could not raise the alert %s %s: %s", reason, about, error)


async def dead_letter(
    database: Database, group: str, event: event_pb2.Event | None, stream: str, reason: str
) -> None:
    """An event that a group gave up. About an alert that was given up none is raised."""
    metrics.DEAD_LETTERS.labels(event.type if event else "").inc()
    if event is None or event.type == ALERT:
        return
    about = {
        "level": "error",
        "message": f"{group} could not handle {event.type} of {stream}: {reason}",
        "group": group,
        "event_id": event.event_id,
        "event_type": event.type,
    }
    await sound(
        database,
        "DEAD_LETTER",
        about,
        organization_id=event.organization_id,
        run_id=event.run_id,
    )
