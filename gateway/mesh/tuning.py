"""What of a gateway is changed at run time: breakers, bulkheads, its rate limit, its log level."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gateway.limits import RateLimit
from gateway.settings import GatewaySettings
from gateway.upstreams import Guard
from libs import tuning


def tuned(settings: GatewaySettings, guards: Mapping[str, Guard], rate: RateLimit) -> tuning.Tuning:
    """What the gateway heeds, each as it was started until something else is said."""
    made = tuning.Tuning()
    tuning.log_level(made, settings.service, settings.log_level)
    for name, guard in guards.items():
        _guard(made, name, guard)
    usual = {"per_s": settings.rate_per_s, "burst": settings.rate_burst}
    now = dict(usual)
    made.on("rate_per_s", "", _together(now, usual, "per_s", rate.tune))
    made.on("rate_burst", "", _together(now, usual, "burst", rate.tune))
    return made


def _guard(made: tuning.Tuning, name: str, guard: Guard) -> None:
    breaker, bulkhead = guard.breaker, guard.bulkhead
    usual = {"threshold": breaker.threshold, "reset_s": breaker.reset_s}
    now = dict(usual)
    made.on("breaker_threshold", name, _together(now, usual, "threshold", breaker.tune))
    made.on("breaker_reset_s", name, _together(now, usual, "reset_s", breaker.tune))
    room = bulkhead.room

    def resize(concurrent: int, queued: int) -> None:
        bulkhead.resize(replace(room, concurrent=concurrent, queued=queued))

    usual = {"concurrent": room.concurrent, "queued": room.queued}
    now = dict(usual)
    made.on("bulkhead_concurrent", name, _together(now, usual, "concurrent", resize))
    made.on("bulkhead_queued", name, _together(now, usual, "queued", resize))


def _together(
    now: dict[str, Any], usual: Mapping[str, Any], part: str, turn: Callable[..., None]
) -> tuning.Apply:
    """Changes one of two values that are set together."""

    def apply(value: Any) -> None:
        now[part] = usual[part] if value is None else value
        turn(**now)

    return apply
