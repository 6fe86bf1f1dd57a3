"""The tables of webhook and the only SQL."""

from services.webhook.store.deliveries import (
    DeliveryFilter,
    add_delivery,
    attempts_of,
    delivery,
    fan_out,
    list_deliveries,
    replay,
    wanting,
)
from services.webhook.store.endpoints import (
    add_endpoint,
    endpoint,
    endpoint_to_send_to,
    list_endpoints,
    remove_endpoint,
    update_endpoint,
)
from services.webhook.store.sending import (
    Outcome,
    Target,
    due,
    finish,
    target_of,
)
from services.webhook.store.tables import DUE, METADATA, deliveries

__all__ = [
    "DUE",
    "METADATA",
    "DeliveryFilter",
    "Outcome",
    "Target",
    "add_delivery",
    "add_endpoint",
    "attempts_of",
    "deliveries",
    "delivery",
    "due",
    "endpoint",
    "endpoint_to_send_to",
    "fan_out",
    "finish",
    "list_deliveries",
    "list_endpoints",
    "remove_endpoint",
    "replay",
    "target_of",
    "update_endpoint",
    "wanting",
]
