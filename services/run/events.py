"""What run makes of the others' events: its history, and the end of its workflow run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from libs import db, history
from libs.events.bus import Subscription
from podium.common.v1 import event_pb2
from services.run import store, wire
from services.run.domain import TERMINAL, RunState

REPORTING = ("workflow", "task", "totp", "browser_session")
WORKFLOW_RUN_FINISHED = "workflow_run.finished"
# What the saga that follows a workflow run is woken by.
TURNS = {WORKFLOW_RUN_FINISHED, "workflow_run.paused"}


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
    fresh = [event for event in events if tx.first_time(event.event_id)]
    state = store.hold(tx, fresh[0].run_id) if fresh else None
    # What is reported after the end is not written: "run.finished" is the last event, the outcome
    # does not depend on it, and the services that report keep it themselves.
    if state is None or state in TERMINAL:
        return
    for event in fresh:
        _append(tx, event)
    if state is RunState.PAUSED:
        # Nobody holds a run that rests; the end of its workflow run makes it due.
        tx.notify(store.DUE_TOPIC)


def _append(tx: db.Tx, event: event_pb2.Event) -> None:
    data = wire.plain(event.data)
    history.append(
        tx,
        event.run_id,
        event.type,
        data,
        source=event.source,
        occurred_at=event.occurred_at.ToDatetime(tzinfo=UTC),
    )
    if event.type == WORKFLOW_RUN_FINISHED:
        store.assign(tx, event.run_id, workflow_result=data)
    if event.type in TURNS:
        tx.notify(store.topic(event.run_id))
