"""Rotation of the keys that seal secrets at rest: a new key, everything sealed anew, the old gone.

The mesh is down meanwhile, because a replica that does not know the new key could not open what is
sealed with it.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import dataclass

from deploy import keys, local
from deploy.layout import Layout
from libs import errors, ids
from libs.settings import child_environment

# The services that seal what they keep; tests check that no other has a binary column.
SEALING = ("browser_session", "run", "totp", "webhook")
KEY_BYTES = 32
LARGEST_KEY_ID = 255
LIMIT_S = 600.0


@dataclass(frozen=True)
class Rows:
    """How many sealed values of a service rest under which key."""

    service: str
    under: dict[str, int]
    resealed: int
    unlisted: list[str]


def key_ids(home: Layout) -> list[int]:
    """The keys that there are, the newest last."""
    return sorted(int(key_id) for key_id in _stored(home))


def count(home: Layout) -> list[Rows]:
    """What rests under which key, service by service."""
    return [_run(home, service, "count") for service in SEALING]


def rotate(home: Layout) -> tuple[int, list[Rows]]:
    """Makes a new key and seals everything with it; answers its id and what was done."""
    _check_down(home)
    stored = _stored(home)
    newest = max(map(int, stored)) + 1
    if newest > LARGEST_KEY_ID:
        raise errors.FailedPrecondition(f"there are no key ids after {LARGEST_KEY_ID}")
    stored[str(newest)] = base64.b64encode(ids.random_bytes(KEY_BYTES)).decode()
    keys.keep_vault_keys(home, json.dumps(stored))
    return newest, [_run(home, service, "write") for service in SEALING]


def drop(home: Layout, key_id: int) -> None:
    """Destroys an old key that nothing rests under any more."""
    _check_down(home)
    stored = _stored(home)
    if str(key_id) not in stored:
        raise errors.NotFound("key", str(key_id))
    if key_id == max(map(int, stored)):
        raise errors.FailedPrecondition("the newest key seals everything new; rotate first")
    for rows in count(home):
        if rows.unlisted:
            raise errors.FailedPrecondition(
                f"{rows.service} does not list {', '.join(rows.unlisted)}, which may need the key"
            )
        if left := rows.under.get(str(key_id), 0):
            raise errors.FailedPrecondition(
                f"{left} values of {rows.service} rest under key {key_id}; rotate first"
            )
    del stored[str(key_id)]
    keys.keep_vault_keys(home, json.dumps(stored))


def _stored(home: Layout) -> dict[str, str]:
    return json.loads(keys.keys_of(home).vault)


def _check_down(home: Layout) -> None:
    if local.status(home.home) is not None:
        raise errors.FailedPrecondition("the mesh is running; stop it first: podium down")


def _run(home: Layout, service: str, what: str) -> Rows:
    """In a process of its own: only the service knows its tables, and nobody imports a service."""
    environment = child_environment(
        PODIUM_HOME=str(home.home),
        PODIUM_SERVICE=service,
        PODIUM_VAULT_KEYS=keys.keys_of(home).vault_of(service),
        PODIUM_RESEAL=what,
    )
    done = subprocess.run(
        [sys.executable, "-m", "libs.resealing"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        raise errors.Internal(f"{service} could not be sealed anew: {last}")
    said = json.loads(done.stdout)
    return Rows(service, said["under"], said["resealed"], said["unlisted"])
