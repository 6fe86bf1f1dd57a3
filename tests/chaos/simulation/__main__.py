"""`python -m tests.chaos.simulation 0 2000`: a range of seeds; exit code 1 when one is broken."""

from __future__ import annotations

import logging
import sys
import time

from tests.chaos.simulation import universe, virtual


def main() -> None:
    """Live through the seeds and name the broken ones."""
    first, last = int(sys.argv[1]), int(sys.argv[2])
    logging.disable(logging.CRITICAL)
    began, broken = time.monotonic(), 0
    for seed in range(first, last):
        if found := virtual.run(universe.lived(seed)):
            broken += 1
            print(f"seed {seed}: {'; '.join(found)}", flush=True)
    took_s = time.monotonic() - began
    print(f"{last - first} seeds in {took_s:.1f} s, {broken} broken")
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
