"""The secrets of a mesh in containers: a folder for each part, with what that part may know.

    run/       token, vault keys, the addresses of its database and of Redis with their passwords
    gateway/   the same, and the first API key
    postgres/  the superuser's password, and a role for each part that owns that part's schema alone
    redis/     its configuration with the password
    discovery/ the address of Redis, for the agent beside Envoy
    client/    the API key, for whoever looks at the mesh from inside

deploy/compose/certificates.py adds `tls/` to the folders of the parts, and one for Envoy.

All of it is made from `root/`, which is kept, so that a second start changes nothing.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.keys import Keys
from gateway.auth import key_text
from libs import ids
from libs.rpc import identity
from libs.secrets import Vault

GATEWAY = "gateway"
DATABASE = "podium"
MASTER = "root/master.json"


@dataclass(frozen=True)
class Hosts:
    """Where the stores are, as "host:port"."""

    postgres: str = "postgres:5432"
    redis: str = "redis:6379"


HOSTS = Hosts()


@dataclass(frozen=True)
class Master:
    """What everything else is made from; only the preparing container ever sees it."""

    keys: Keys
    password_key: str
    api_key: str

    def password(self, of: str) -> str:
        """The password of one part, which tells nothing about those of the others."""
        digest = hmac.digest(base64.b64decode(self.password_key), of.encode(), "sha256")
        return digest.hex()


def prepare(
    root: Path, owner: int, services: Sequence[str], llm_api_key: str = "", hosts: Hosts = HOSTS
) -> list[str]:
    """Write what is not as it should be below `root`; answers the folders that got something."""
    master = _master(root)
    parts = [*services, GATEWAY]
    wanted = {name: _part(name, master, hosts) for name in parts}
    wanted[GATEWAY]["podium_first_api_key"] = master.api_key
    if llm_api_key:
        wanted["task"]["podium_llm_api_key"] = llm_api_key
    redis_url = wanted[GATEWAY]["podium_redis_url"]
    wanted["discovery"] = {"podium_redis_url": redis_url}
    wanted["client"] = {"api-key": master.api_key}
    made = [name for name, files in wanted.items() if _write(root / name, files, owner, 0o400)]
    # These two read theirs under users of their own; nobody else's container has the folder.
    others = {"postgres": _postgres(master, parts), "redis": _redis(master)}
    made += [name for name, files in others.items() if _write(root / name, files, 0, 0o444)]
    return made


def _master(root: Path) -> Master:
    path = root / MASTER
    if not path.exists():
        private, public = identity.generate()
        fresh = {
            "private": private,
            "public": public,
            "vault": Vault.fresh_text(),
            "password_key": base64.b64encode(ids.random_bytes(32)).decode(),
            "api_key": key_text(),
        }
        _write(path.parent, {path.name: json.dumps(fresh)}, os.getuid(), 0o400)
    kept = json.loads(path.read_text())
    keys = Keys(kept["private"], kept["public"], kept["vault"])
    return Master(keys, kept["password_key"], kept["api_key"])


def _part(name: str, master: Master, hosts: Hosts) -> dict[str, str]:
    password = master.password(f"postgres {name}")
    database = f"{name}:{password}@{hosts.postgres}/{DATABASE}"
    return {
        "podium_service_token": master.keys.token(name),
        "podium_token_public_key": master.keys.public,
        "podium_vault_keys": master.keys.vault_of(name),
        "podium_database_url": f"postgresql+asyncpg://{database}",
        "podium_redis_url": f"redis://:{master.password('redis')}@{hosts.redis}/0",
    }


def _postgres(master: Master, parts: Sequence[str]) -> dict[str, str]:
    lines = [f'REVOKE ALL ON DATABASE "{DATABASE}" FROM PUBLIC;']
    for name in parts:
        password = master.password(f"postgres {name}")
        lines += [
            f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}';",
            f'GRANT CONNECT, CREATE ON DATABASE "{DATABASE}" TO "{name}";',
        ]
    return {"password": master.password("postgres"), "roles.sql": "\n".join(lines) + "\n"}


def _redis(master: Master) -> dict[str, str]:
    lines = (
        f"requirepass {master.password('redis')}",
        "dir /data",
        "appendonly yes",
        'save ""',
        "loglevel warning",
    )
    # `redis-cli` takes the password from a variable: no command line shows it.
    return {"redis.conf": "\n".join(lines) + "\n", "password": master.password("redis")}


def _write(folder: Path, files: dict[str, str], owner: int, mode: int) -> bool:
    """Each file whole or not at all, readable by its owner alone; True when one was changed."""
    folder.mkdir(exist_ok=True)
    changed = {name: text for name, text in files.items() if _text(folder / name) != text}
    for name, text in changed.items():
        scratch = folder / f".{name}"
        scratch.unlink(missing_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(text)
        if os.geteuid() == 0:
            os.chown(scratch, owner, owner)
        scratch.replace(folder / name)
    if os.geteuid() == 0:
        os.chown(folder, owner, owner)
        folder.chmod(0o755 if mode == 0o444 else 0o500)
    return bool(changed)


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
