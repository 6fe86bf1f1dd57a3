"""What run makes of the others' events: its history, and the end of its workflow run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta

from libs import db, history
from libs.alarms import ALERT
from libs.events.bus import Subscription, TooEarly
from libs.signals import Signals
from podium.common.v1 import event_pb2
from services.run import store, wire
from services.run.domain import RunState

# How long an event waits for the one before it: another replica may be about to write that, or may
# have died with it in hand. An event that never comes must not hold the others up for ever.
PATIENCE = timedelta(seconds=12)
SOON_S = 0.3
# Run's own alerts are rows already: it does not read its own stream for them.
ALERTING = ("workflow", "task", "totp", "browser_session", "webhook", "gateway")
REPORTING = ("workflow", "task", "totp", "browser_session")
WORKFLOW_RUN_FINISHED = "workflow_run.finished"
# What the saga that follows a workflow run is woken by.
TURNS = {WORKFLOW_RUN_FINISHED, "workflow_run.paused"}


class Reports:
    """Writes what others report about a run into its history."""

    def __init__(self, database: db.Database, signals: Signals) -> None:
        self._db = database
        self._signals = signals

    def subscriptions(self) -> list[Subscription]:
        """Everything that the services below a run announce."""
        reports = [Subscription(stream, handle_batch=self.report) for stream in REPORTING]
        alerts = [Subscription(stream, self.keep_alert, {ALERT}) for stream in ALERTING]
        return reports + alerts

    async def keep_alert(self, event: event_pb2.Event) -> None:
        """Keeps an alert of whichever service for the people of its organisation."""
        if event.organization_id:
            await self._db.write(lambda tx: _keep_alert(tx, event))

    async def report(self, events: Sequence[event_pb2.Event]) -> None:
        """Adds events of one run to its history, each once, in the order in which they came."""
        of_runs = [event for event in events if event.run_id and event.organization_id]
        # Ids grow with time, so that what was only swapped on the way needs no waiting.
        of_runs.sort(key=lambda event: event.event_id)
        if not of_runs:
            return
        async with self._signals.subscribe(history.topic(of_runs[0].run_id)) as subscription:
            try:
                await self._db.write(lambda tx: _record(tx, of_runs))
            except TooEarly:
                # Mostly a matter of milliseconds; if not, the bus brings the event again.
                await subscription.wait(SOON_S)
                await self._db.write(lambda tx: _record(tx, of_runs))


def _record(tx: db.Tx, events: Sequence[event_pb2.Event]) -> None:
    seen = tx.seen({id_ for event in events for id_ in (event.event_id, event.previous_event_id)})
    fresh = []
    for event in events:
        if event.previous_event_id and event.previous_event_id not in seen:
            _require_patience(tx, event)
        if event.event_id not in seen:
            fresh.append(event)
        seen.add(event.event_id)
    tx.see(event.event_id for event in fresh)
    run = store.find(tx, fresh[0].run_id) if fresh else None
    # What is reported after the end is not written: "run.finished" is the last event, the outcome
    # does not depend on it, and the services that report keep it themselves.
    if run is None or run.ended:
        return
    for event in fresh:
        _append(tx, event)
    if run.state is RunState.PAUSED:
        # Nobody holds a run that rests; the end of its workflow run makes it due.
        tx.notify(store.DUE_TOPIC)


def _keep_alert(tx: db.Tx, event: event_pb2.Event) -> None:
    about = wire.plain(event.data)
    # Its own id, or that of its event: it may come twice.
    alert_id = str(about.pop("alert_id", "")) or f"alrt_{event.event_id.removeprefix('evt_')}"
    level, reason = str(about.get("level") or "error"), str(about.get("reason") or ALERT)
    store.add_alert(tx, alert_id, level[:16], reason[:64], event.run_id, about)


def _require_patience(tx: db.Tx, event: event_pb2.Event) -> None:
    """Keeps the order in which a service told about a run, whichever replicas read it."""
    if tx.now - event.occurred_at.ToDatetime(tzinfo=UTC) < PATIENCE:
        raise TooEarly(f"{event.event_id} came before {event.previous_event_id}")


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
