"""What a group gave up is an alert of the organisation whose event it was."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from libs import alarms, db
from libs.clock import Clock
from libs.outbox import outbox
from podium.common.v1 import event_pb2


async def test_a_dead_letter_raises_an_alert_unless_it_is_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/n.db"
    database = await db.open_database(url, sa.MetaData(), Clock(), schema="n")
    lost = event_pb2.Event(
        event_id="evt_1", type="run.finished", organization_id="org_a", run_id="run_1"
    )
    alert = event_pb2.Event(event_id="evt_2", type="alert.raised", organization_id="org_a")
    for event in (lost, alert, None):
        await alarms.dead_letter(database, "webhook", event, "run", "KeyError")
    rows = await database.read(lambda tx: list(tx.execute(sa.select(outbox.c.event)).scalars()))
    (raised,) = map(event_pb2.Event.FromString, rows)
    assert (raised.type, raised.organization_id, raised.run_id) == (
        "alert.raised",
        "org_a",
        "run_1",
    )
    assert raised.data["reason"] == "DEAD_LETTER"
    assert "run.finished" in str(raised.data["message"])
    await database.close()
    # The letter matters more than the alert: whoever buries it goes on.
    await alarms.dead_letter(database, "webhook", lost, "run", "KeyError")
