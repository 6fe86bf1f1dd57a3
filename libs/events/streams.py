"""Names of what the bus keeps on Redis, and the context in which an event is reacted to."""

from __future__ import annotations

from typing import Any

from libs import context
from podium.common.v1 import event_pb2

PREFIX = "podium:events:"
# What a group is to be given once more, for itself alone: replayed dead letters.
RETRIES = "podium:retries:"
DEAD_LETTERS = "podium:dead-letters"
FIELD = b"event"
MOST_DELIVERIES = 5


def context_of(event: event_pb2.Event) -> Any:
    """The context in which an event is reacted to: that of what caused it."""
    return context.bind(
        request_id=event.request_id,
        organization_id=event.organization_id,
        caller=event.source,
        run_id=event.run_id,
        workflow_run_id=event.workflow_run_id,
        task_id=event.task_id,
    )
