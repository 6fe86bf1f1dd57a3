"""The tables of webhook and the only SQL."""

from services.webhook.store.claiming import (
    Claim,
    Limits,
    anything_due,
    claim,
    hand_back,
    renew,
)
from services.webhook.store.deliveries import (
    DeliveryFilter,
    add_deliveries,
    attempts_of,
    dead,
    delivery,
    list_deliveries,
    missed,
    replay,
)
from services.webhook.store.endpoints import (
    add_endpoint,
    endpoint,
    endpoint_to_send_to,
    list_endpoints,
    remove_endpoint,
    update_endpoint,
)
from services.webhook.store.expiry import BATCH, expire
from services.webhook.store.feed import announce, catch_up, keep_test, list_events, wants
from services.webhook.store.finishing import Result, Rules, finish
from services.webhook.store.tables import ANNOUNCED, DUE, METADATA, deliveries, endpoints, events

__all__ = [
    "ANNOUNCED",
    "BATCH",
    "DUE",
    "METADATA",
    "Claim",
    "DeliveryFilter",
    "Limits",
    "Result",
    "Rules",
    "add_deliveries",
    "add_endpoint",
    "announce",
    "anything_due",
    "attempts_of",
    "catch_up",
    "claim",
    "dead",
    "deliveries",
    "delivery",
    "endpoint",
    "endpoint_to_send_to",
    "endpoints",
    "events",
    "expire",
    "finish",
    "hand_back",
    "keep_test",
    "list_deliveries",
    "list_endpoints",
    "list_events",
    "missed",
    "remove_endpoint",
    "renew",
    "replay",
    "update_endpoint",
    "wants",
]
