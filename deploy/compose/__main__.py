"""`python -m deploy.compose`: makes what is missing of secrets and certificates, configures Envoy.

It runs in a container of its own before all others, as root, because each volume it writes to is
for one user alone.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from deploy import layout
from deploy.compose import certificates, secrets
from deploy.compose.addresses import TLS, plan
from deploy.discovery import __main__ as discovery
from deploy.envoy import config, tls
from libs.settings import environment


def main() -> None:
    """Write what is missing or was made for other services; nothing else changes."""
    root = Path(environment("PODIUM_SECRETS_DIR", "/secrets"))
    owner = int(environment("PODIUM_OWNER", "10001"))
    services = layout.services()
    made = secrets.prepare(root, owner, services, environment("PODIUM_LLM_API_KEY"))
    renewed = certificates.issuer(root, owner).issue_due()
    folder = Path(environment("PODIUM_ENVOY_CONFIG", "/envoy"))
    _write(folder / "envoy.json", config.build(plan(services)))
    for name, content in tls.secrets(TLS).items():
        _write(folder / name, content)
    if watched := plan(services).endpoints:
        _prepare_endpoints(Path(watched), owner)
    print("secrets written:" if made else "the secrets are there", *made, flush=True)
    print("certificates made:" if renewed else "the certificates are fresh", *renewed, flush=True)


def _write(path: Path, content: dict) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(content, indent=2))
    os.chmod(scratch, 0o444)  # noqa: PTH101 - it holds nothing secret, and Envoy is another user.
    scratch.replace(path)


def _prepare_endpoints(folder: Path, owner: int) -> None:
    """Envoy does not start without the files that the agent will write."""
    discovery.prepare(folder)
    for path in (folder, *folder.iterdir()):
        os.chown(path, owner, owner)


if __name__ == "__main__":
    main()
