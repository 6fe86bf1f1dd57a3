"""The mesh's Secrets as manifests, for those who have no vault that makes them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from deploy import layout
from deploy.certs import files
from deploy.certs.issuer import Issuer
from deploy.compose import secrets
from libs.settings import environment

PREFIX = "podium"


def documents() -> list[dict[str, Any]]:
    """A Secret for each part; `podium-postgres` holds the statements for the database's owner."""
    with tempfile.TemporaryDirectory() as scratch:
        hosts = secrets.Hosts(
            postgres=environment("PODIUM_POSTGRES", "postgres:5432"),
            redis=environment("PODIUM_REDIS", "redis:6379"),
        )
        secrets.prepare(Path(scratch), 0, layout.services(), hosts=hosts)
        folders = sorted(path for path in Path(scratch).iterdir() if path.name != "root")
        return [_secret(folder) for folder in folders]


def certificates(folder: Path) -> list[dict[str, Any]]:
    """A Secret for each part with its certificate, such as cert-manager would make it."""
    issuer = Issuer.of(folder)
    if not issuer.exists():
        raise SystemExit(f"there are no certificates: podium certs --dir {folder}")
    return [
        _manifest(
            f"{part}-tls",
            {name: content.decode() for name, content in files.read(place).items()},
            "kubernetes.io/tls",
        )
        for part, place in issuer.folders.items()
    ]


def _secret(folder: Path) -> dict[str, Any]:
    content = {file.name: file.read_text() for file in sorted(folder.iterdir())}
    return _manifest(folder.name, content)


def _manifest(name: str, content: dict[str, str], kind: str = "Opaque") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{PREFIX}-{name.replace('_', '-')}"},
        "type": kind,
        "stringData": content,
    }
