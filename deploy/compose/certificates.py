"""Certificates of the mesh in containers, beside each part's secrets; `podium certs` in a volume.

`python -m deploy.compose.certificates` renews them before they run out, for as long as it runs. The
authority's key is in `root/`, which no part of the mesh ever sees.
"""

from __future__ import annotations

import logging
from pathlib import Path

from deploy.certs import keeper
from deploy.certs.issuer import AUTHORITY, Issuer, parts
from libs.rpc import spiffe
from libs.settings import environment

# The user of Envoy's image.
ENVOY_USER = 101


def issuer(root: Path, owner: int) -> Issuer:
    """The authority below `root`, and a folder for each part's own eyes."""
    owners = {part: ENVOY_USER if part == spiffe.ENVOY else owner for part in parts()}
    folders = {part: root / part / "tls" for part in parts()}
    return Issuer(root / "root" / AUTHORITY, folders, owners=owners)


def main() -> None:
    """Renew what is due, again and again."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    root = Path(environment("PODIUM_SECRETS_DIR", "/secrets"))
    keeper.keep(issuer(root, int(environment("PODIUM_OWNER", "10001"))))


if __name__ == "__main__":
    main()
