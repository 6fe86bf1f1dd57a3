"""`python -m tests.chaos.simulation 0 2000`: a range of seeds; exit code 1 when one is broken."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator

from tests.chaos.simulation import universe, virtual

# Looking for garbage as often as usual takes a sixth of the time.
SEEDS_TOGETHER = 10


def main() -> None:
    """Live through the seeds, on every core, and name the broken ones."""
    first, last = int(sys.argv[1]), int(sys.argv[2])
    began, broken = time.monotonic(), 0
    for seed, found in _lived(range(first, last)):
        if found:
            broken += 1
            print(f"seed {seed}: {'; '.join(found)}", flush=True)
    took_s = time.monotonic() - began
    print(f"{last - first} seeds in {took_s:.1f} s, {broken} broken")
    raise SystemExit(1 if broken else 0)


def _lived(seeds: range) -> Iterator[tuple[int, list[str]]]:
    _prepare()
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), _prepare) as pool:
        yield from pool.imap_unordered(_one, seeds, chunksize=SEEDS_TOGETHER)


def _prepare() -> None:
    logging.disable(logging.CRITICAL)
    gc.freeze()
    gc.disable()


def _one(seed: int) -> tuple[int, list[str]]:
    found = virtual.run(universe.lived(seed))
    if seed % SEEDS_TOGETHER == 0:
        gc.collect()
    return seed, found


if __name__ == "__main__":
    main()
