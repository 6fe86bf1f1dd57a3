"""`make totp`: the current one-time code of a seed, to type into a page by hand.

The seed comes from the environment, not from the command line, which every user of the machine
can read.
"""

from __future__ import annotations

import os
import time

from services.totp.otp import SeedError, parse_seed


def main() -> None:
    """Print the code and how long it is good for."""
    try:
        seed = parse_seed(os.environ.get("SEED", ""))
    except SeedError as why:
        raise SystemExit(f"SEED {why}; try: make totp SEED=JBSWY3DPEHPK3PXP") from None
    now = time.time()
    step = seed.step_at(now)
    left_s = seed.step_start_s(step + 1) - now
    print(f"{seed.code(step)}  (good for {left_s:.0f} s)")


if __name__ == "__main__":
    main()
