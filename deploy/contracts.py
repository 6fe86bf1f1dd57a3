"""Lints the contracts with buf, and compares them with main's when main has any."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUF = Path(sys.executable).parent / "buf"
TRUNK = "main"


def main() -> None:
    """Exit with buf's code when a contract is badly written or breaks its callers."""
    _buf("lint")
    with tempfile.TemporaryDirectory() as scratch:
        if _trunk_contracts(Path(scratch)):
            _buf("breaking", "--against", scratch)


def _trunk_contracts(target: Path) -> bool:
    """Unpack main's contracts; False when there is no such branch or it has none."""
    if shutil.which("git") is None:
        return False
    listed = subprocess.run(
        # A tree that another user unpacked is still only read.
        ["git", "-c", "safe.directory=*", "archive", TRUNK, "buf.yaml", "protos"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        return False
    subprocess.run(["tar", "-x", "-C", target], input=listed.stdout, check=True)
    return True


def _buf(*arguments: str) -> None:
    done = subprocess.run([BUF, *arguments], cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
