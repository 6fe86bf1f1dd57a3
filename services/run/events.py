"""What run makes of the others' events: its history, and the end of its workflow run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from google.protobuf import json_format

from libs import db, errors, history
from libs.events.bus import Subscription
from podium.common.v1 import event_pb2
from services.run import store, wire

REPORTING = ("workflow", "task", "totp", "browser_session")
WORKFLOW_RUN_FINISHED = "workflow_run.finished"


class Reports:
    """Writes what others report about a run into its history."""

    def __init__(self, database: db.Database) -> None:
        self._db = database

    def subscriptions(self) -> list[Subscription]:
        """Everything that the services below a run announce."""
        return [Subscription(stream, handle_batch=self.report) for stream in REPORTING]

    async def report(self, events: Sequence[event_pb2.Event]) -> None:
        """Adds events of one run to its history, each once, in the order in which they came."""
        of_runs = [event for event in events if event.run_id and event.organization_id]
        if of_runs:
            await self._db.write(lambda tx: _record(tx, of_runs))


def _record(tx: db.Tx, events: Sequence[event_pb2.Event]) -> None:
    for event in events:
        if not tx.first_time(event.event_id):
            continue
        try:
            run = store.get(tx, event.run_id)
        except errors.NotFound:
            continue
        if not run.ended:
            _append(tx, event)


def _append(tx: db.Tx, event: event_pb2.Event) -> None:
    data = json_format.MessageToDict(event.data)
    ended = event.type == WORKFLOW_RUN_FINISHED
    history.append(
        tx,
        event.run_id,
        event.type,
        _without_output(data) if ended else data,
        source=event.source,
        occurred_at=event.occurred_at.ToDatetime(tzinfo=UTC),
    )
    if ended:
        store.assign(tx, event.run_id, workflow_result=wire.plain(event.data))
        tx.notify(store.topic(event.run_id))


def _without_output(data: dict[str, object]) -> dict[str, object]:
    """The output is part of run.finished; twice would only make the history longer."""
    return {key: value for key, value in data.items() if key != "output"}
