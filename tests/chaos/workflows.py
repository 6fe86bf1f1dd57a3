"""The kinds of run that make up the load: what each does, and what must have come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.chaos.world import USERNAME, World

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
    asks_for_code: bool = False


def kinds(world: World) -> dict[str, Kind]:
    """All kinds by name."""
    abc = [_effect(world, label) for label in "abc"]
    waiting = [abc[0], _wait(WAIT_S), abc[1]]
    resting = [abc[0], _wait(LONG_WAIT_S), abc[1]]
    fan = _block("each", "for_loop", items=list(range(FAN)), blocks=[_effect(world, "a", 0.15)])
    loop = tuple(f"each.{at}.a" for at in range(FAN))
    login = _block(
        "sign_in",
        "login",
        url=f"{world.portal_url}/login",
        credential_id="chaos",
        success_text="Orders of",
    )
    found = [
        Kind("linear", _document("linear", abc), "COMPLETED", ("a", "b", "c")),
        Kind("flaky", _document("flaky", abc), "COMPLETED", ("a", "b", "c"), {"flaky_at": "b"}),
        *(
            Kind(f"saga-{at}", _document(f"saga-{at}", abc), "FAILED", done, {"fail_at": at})
            for at, done in (("a", ("a",)), ("b", ("a", "b")), ("c", ("a", "b", "c")))
        ),
        Kind("fan-out", _document("fan-out", [fan, abc[2]]), "COMPLETED", (*loop, "c")),
        Kind(
            "wait",
            _document("wait", waiting),
            "COMPLETED",
            ("a", "b"),
            timers=(("a", "b", WAIT_S),),
        ),
        Kind(
            "rest",
            _document("rest", resting),
            "COMPLETED",
            ("a", "b"),
            timers=(("a", "b", LONG_WAIT_S),),
        ),
        Kind("cancel", _document("cancel", resting), "CANCELED", ("a",), canceled=True),
        Kind(
            "code",
            _document("code", [abc[0], login, abc[1]]),
            "COMPLETED",
            ("a", "b"),
            asks_for_code=True,
        ),
    ]
    return {kind.name: kind for kind in found}


def credential() -> dict[str, Any]:
    """The login of the kind that asks for a code."""
    from tests.chaos.world import PASSWORD

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
