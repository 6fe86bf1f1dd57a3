"""`python -m deploy ORDER`: the supervisor's process; `deploy.local.up` writes the order."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

from deploy import keys, state, supervisor
from deploy.composition import Composition
from deploy.layout import Layout


def main() -> None:
    """Take the home's lock, then oversee its mesh."""
    logging.Formatter.converter = time.gmtime
    form = "%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, datefmt="%Y-%m-%dT%H:%M:%S")
    order = json.loads(sys.argv[1])
    home = Layout(Path(order["home"]))
    announce = supervisor.announce_on(order["announce"])
    held = state.lock(home.lock_file)
    if held is None:
        announce({"problem": f"another `podium up` is just starting the mesh in {home.home}"})
        raise SystemExit(1)
    home.forget_sockets()
    mesh = Composition(
        home,
        order["edge"],
        order["replicas"],
        order["detached"],
        first_start=not keys.api_key_file(home).exists(),
        tls=order["tls"],
    )
    mesh.write_envoy_config()
    raise SystemExit(supervisor.oversee(mesh, announce))


if __name__ == "__main__":
    main()
