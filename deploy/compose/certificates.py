"""Certificates of the mesh in containers, beside each part's secrets; `podium certs` in a volume.

python -m deploy.compose.certificates                     renew what is due, again and again
python -m deploy.compose.certificates renew               renew all of them now
python -m deploy.compose.certificates replace-authority   and the authority too

The authority's key is in `root/`, which no part of the mesh ever sees.
"""

from __future__ import annotations

import logging
import sys
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
    """Do what was asked."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    root = Path(environment("PODIUM_SECRETS_DIR", "/secrets"))
    ours = issuer(root, int(environment("PODIUM_OWNER", "10001")))
    match sys.argv[1:]:
        case []:
            keeper.keep(ours)
        case ["renew"]:
            ours.issue_all()
        case ["replace-authority"]:
            ours.replace_authority()
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
