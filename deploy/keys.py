"""The secrets of a local mesh: made at its first start, kept in the home, readable by its owner.

They travel to the processes by environment, so that no command line shows them.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from dataclasses import dataclass
from pathlib import Path

from deploy.layout import Layout
from libs.rpc import identity
from libs.secrets import Vault


@dataclass(frozen=True)
class Keys:
    """What tells the services apart and seals what they keep."""

    private: str  # signs service tokens; never leaves the supervisor
    public: str
    vault: str  # `{"1": "<base64>"}`; every service's own keys come from these

    def token(self, service: str) -> str:
        """Proves to the others that its bearer is `service`."""
        return identity.mint(self.private, service)

    def vault_of(self, service: str) -> str:
        """The service's own vault keys: with them it opens nothing that another has sealed."""
        purpose = f"podium vault of {service}".encode()
        derived = {
            key_id: hmac.digest(base64.b64decode(key), purpose, "sha256")
            for key_id, key in json.loads(self.vault).items()
        }
        return json.dumps({each: base64.b64encode(key).decode() for each, key in derived.items()})


def keys_of(home: Layout) -> Keys:
    """The home's keys; made when it has none."""
    pair = home.secrets / "service-keys.json"
    if not pair.exists():
        private, public = identity.generate()
        _keep(pair, json.dumps({"private": private, "public": public}))
    vault = _vault_file(home)
    if not vault.exists():
        _keep(vault, Vault.fresh_text())
    return Keys(**json.loads(pair.read_text()), vault=vault.read_text().strip())


def keep_vault_keys(home: Layout, text: str) -> None:
    """Replaces the keys that seal secrets at rest; a running mesh does not notice."""
    _keep(_vault_file(home), text)


def _vault_file(home: Layout) -> Path:
    return home.secrets / "vault-keys.json"


def api_key_file(home: Layout) -> Path:
    """Where the gateway leaves the first API key."""
    return home.secrets / "api-key"


def _keep(path: Path, text: str) -> None:
    """Written whole or not at all, and never readable by others, not even for a moment."""
    scratch = path.with_suffix(".tmp")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
    scratch.replace(path)
