"""Starts single service processes in milliseconds: imports everything once, forks on demand.

`python -m tests.chaos.nursery` reads one JSON object a line, {"name", "module", "env", "log"}, and
answers with the pid. Its children die with it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from pathlib import Path

from deploy import children, layout
from deploy.composition import HEAVY


def main() -> None:
    """Import, then fork whatever is asked for until the input ends."""
    for name in (*HEAVY, *(f"services.{each}.service" for each in layout.services())):
        importlib.import_module(name)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        asked = json.loads(line)
        begin = children.module(asked["module"])
        spec = children.Spec(asked["name"], Path(asked["log"]), begin, asked["env"])
        print(json.dumps({"pid": children.fork(spec)}), flush=True)


if __name__ == "__main__":
    main()
