"""The tables of the run service, and the only SQL about them."""

from services.run.store.alerts import add_alert, alert_page
from services.run.store.histories import foreign_events, head, owns_history
from services.run.store.runs import (
    DUE_TOPIC,
    assign,
    by_key,
    columns,
    due,
    end_topic,
    enter,
    find,
    finish,
    get,
    insert,
    page,
    rewrite,
    set_step,
    stored,
    topic,
)
from services.run.store.tables import METADATA, runs

__all__ = [
    "DUE_TOPIC",
    "METADATA",
    "add_alert",
    "alert_page",
    "assign",
    "by_key",
    "columns",
    "due",
    "end_topic",
    "enter",
    "find",
    "finish",
    "foreign_events",
    "get",
    "head",
    "insert",
    "owns_history",
    "page",
    "rewrite",
    "runs",
    "set_step",
    "stored",
    "topic",
]
