"""The tables of browser_session, and the only SQL over them."""

from services.browser_session.store import (
    artifacts,
    links,
    profiles,
    queue,
    replicas,
    runs,
    sessions,
)
from services.browser_session.store.tables import METADATA, ROOM, changed, orders

__all__ = [
    "METADATA",
    "ROOM",
    "artifacts",
    "changed",
    "links",
    "orders",
    "profiles",
    "queue",
    "replicas",
    "runs",
    "sessions",
]
