"""A session's options as they are written into its row."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from services.browser_session.domain import Options
from services.browser_session.egress.policy import Egress
from services.browser_session.presence import Geolocation, Presence

SPANS = ("max_life", "idle_timeout", "first_connect_timeout")


def options_json(options: Options) -> dict[str, Any]:
    """The form in which options are stored."""
    return {**asdict(options), **{key: getattr(options, key).total_seconds() for key in SPANS}}


def options_from(stored: dict[str, Any]) -> Options:
    """The options that `options_json` wrote."""
    spans = {key: timedelta(seconds=stored[key]) for key in SPANS}
    presence = {key: _frozen(value) for key, value in stored["presence"].items()}
    if presence["geolocation"] is not None:
        presence["geolocation"] = Geolocation(**presence["geolocation"])
    egress = {key: _frozen(value) for key, value in stored["egress"].items()}
    parts = {"presence": Presence(**presence), "egress": Egress(**egress)}
    return Options(**{**stored, **spans, **parts})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
