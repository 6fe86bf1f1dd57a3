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
from services.run.store.secrets import SEALED, forget_wish, keep_wish, sealed_wish, wish_place
from services.run.store.tables import METADATA, runs

__all__ = [
    "DUE_TOPIC",
    "METADATA",
    "SEALED",
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
    "forget_wish",
    "get",
    "head",
    "insert",
    "keep_wish",
    "owns_history",
    "page",
    "rewrite",
    "runs",
    "sealed_wish",
    "set_step",
    "stored",
    "topic",
    "wish_place",
]
