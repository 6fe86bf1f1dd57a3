"""The kinds of run that make up the load: what each does, and what must have come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.chaos.world import PASSWORD, USERNAME, World

WAIT_S = 2.0
LONG_WAIT_S = 7.0  # Longer than a lease is held for a pause: a timer on disk.
FAN = 4


@dataclass(frozen=True)
class Kind:
    """One kind of run."""

    name: str
    document: dict[str, Any]
    ends: str  # the state in which it must end
    paths: tuple[str, ...]  # the block paths whose effects a whole run has, in order
    parameters: dict[str, Any] = field(default_factory=dict)
    canceled: bool = False  # the client cancels it once its first effect is there
    timers: tuple[tuple[str, str, float], ...] = ()  # (effect before, effect after, seconds)


def kinds(world: World) -> dict[str, Kind]:
    """All kinds by name."""
    found = [*_straight(world), *_sagas(world), *_waiting(world), _with_a_page(world)]
    return {kind.name: kind for kind in found}


def _abc(world: World) -> list[dict[str, Any]]:
    return [_effect(world, label) for label in "abc"]


def _straight(world: World) -> list[Kind]:
    abc = _abc(world)
    fan = _block("each", "for_loop", items=list(range(FAN)), blocks=[_effect(world, "a", 0.15)])
    loop = tuple(f"each.{at}.a" for at in range(FAN))
    return [
        Kind("linear", _document("linear", abc), "COMPLETED", ("a", "b", "c")),
        Kind("flaky", _document("flaky", abc), "COMPLETED", ("a", "b", "c"), {"flaky_at": "b"}),
        Kind("fan-out", _document("fan-out", [fan, abc[2]]), "COMPLETED", (*loop, "c")),
    ]


def _sagas(world: World) -> list[Kind]:
    """One that fails at each step."""
    done = {"a": ("a",), "b": ("a", "b"), "c": ("a", "b", "c")}
    return [
        Kind(f"saga-{at}", _document(f"saga-{at}", _abc(world)), "FAILED", had, {"fail_at": at})
        for at, had in done.items()
    ]


def _waiting(world: World) -> list[Kind]:
    a, b, _ = _abc(world)
    short, long = _document("wait", [a, _wait(WAIT_S), b]), [a, _wait(LONG_WAIT_S), b]
    rests, canceled = _document("rest", long), _document("cancel", long)
    ab, end = ("a", "b"), "COMPLETED"
    return [
        Kind("wait", short, end, ab, timers=(("a", "b", WAIT_S),)),
        Kind("rest", rests, end, ab, timers=(("a", "b", LONG_WAIT_S),)),
        Kind("cancel", canceled, "CANCELED", ("a",), canceled=True),
    ]


def _with_a_page(world: World) -> Kind:
    a, b, _ = _abc(world)
    login = _block(
        "sign_in",
        "login",
        url=f"{world.portal_url}/login",
        credential_id="chaos",
        success_text="Orders of",
    )
    return Kind("code", _document("code", [a, login, b]), "COMPLETED", ("a", "b"))


def credential() -> dict[str, Any]:
    """The login of the kind that asks for a code."""
    return {
        "name": "chaos",
        "username": USERNAME,
        "password": PASSWORD,
        "totp_identifier": USERNAME,
    }


def _document(name: str, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    keys = ("fail_at", "flaky_at")
    parameters = [{"key": key, "default": ""} for key in keys]
    return {"name": f"chaos-{name}", "parameters": parameters, "blocks": blocks}


def _block(label: str, kind: str, **params: Any) -> dict[str, Any]:
    return {"label": label, "kind": kind, "params": params}


def _wait(seconds: float) -> dict[str, Any]:
    return _block("pause", "wait", seconds=seconds)


def _effect(world: World, label: str, takes_s: float = 0.3) -> dict[str, Any]:
    body = {
        "run_id": "{{ run.run_id }}",
        "takes_s": takes_s,
        "fail_at": "{{ parameters.fail_at }}",
        "flaky_at": "{{ parameters.flaky_at }}",
    }
    url = f"{world.url}/effect/{label}"
    # One retry, for the 503 of the flaky kind; a 422 is final.
    block = _block(label, "http_request", url=url, method="POST", json=body)
    return block | {"retries": 1}
