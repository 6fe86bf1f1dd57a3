"""`python -m tests.chaos --seconds 180 --seed 7`: one long campaign; exit code 1 on a violation."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import tempfile
from pathlib import Path

from tests.chaos import campaign, stage, sweep
from tests.chaos.campaign import Plan


def main() -> None:
    """Print the schedule, carry it out, print what came of it."""
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--sweep", action="store_true", help="first every crash point of a run")
    parser.add_argument("--no-pages", action="store_true", help="no browser kind in the load")
    parser.add_argument("--home", type=Path, help="keep the mesh's home here")
    asked = parser.parse_args()
    stage.end_cleanly()
    seed = secrets.randbelow(1_000_000) if asked.seed is None else asked.seed
    plan = Plan(seed, asked.seconds, asked.store, pages=not asked.no_pages)
    if asked.sweep:
        _sweep()
    print(campaign.announce(plan), flush=True)
    with tempfile.TemporaryDirectory(prefix="podium-chaos-") as scratch:
        result = asyncio.run(campaign.carried_out(plan, asked.home or Path(scratch)))
    print(result.report(), flush=True)
    raise SystemExit(1 if result.problems else 0)


def _sweep() -> None:
    with tempfile.TemporaryDirectory(prefix="podium-sweep-") as scratch:
        reached, violations = asyncio.run(sweep.swept(Path(scratch), None))
    print(f"a crash at each of {len(reached)} points:", flush=True)
    print("\n".join([f"VIOLATED {each}" for each in violations] or ["every invariant holds"]))
    if violations:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
