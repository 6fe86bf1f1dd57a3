"""`python -m deploy.certs.keeper`: renews the certificates of a home while its mesh is up."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from deploy.certs.issuer import Issuer
from deploy.layout import Layout
from libs.settings import environment

log = logging.getLogger("podium.certs")
LOOK_EVERY_S = 60.0


def keep(issuer: Issuer) -> None:
    """Renew what is due, for ever."""
    while True:
        try:
            if renewed := issuer.issue_due():
                log.info("renewed the certificates of %s", ", ".join(renewed))
        except (OSError, ValueError):
            log.exception("cannot renew; half of their life is left to mend this")
        time.sleep(LOOK_EVERY_S)


def main() -> None:
    """Renew those of the home."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    keep(Issuer.of(Layout(Path(environment("PODIUM_HOME", "var"))).certificates))


if __name__ == "__main__":
    main()
