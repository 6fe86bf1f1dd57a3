"""Makes this machine ready: the virtualenv from the lock, then Chromium, Envoy and Valkey.

Runs under the system's Python, before anything is installed, so it uses the standard library
alone. Running it again is cheap: what is already as it should be is left as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deploy import binaries  # noqa: E402 — the project is not installed yet.

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements-dev.txt"
STAMP = VENV / ".podium-setup"
OLDEST_PYTHON = (3, 11)


class CannotSetUp(Exception):
    """Something a person has to do first; the text says what."""


def main() -> None:
    """Set the machine up, or say in one paragraph what is missing."""
    try:
        _virtualenv()
        _chromium()
        subprocess.run([PYTHON, "-m", "deploy.binaries"], cwd=ROOT, check=True)
    except CannotSetUp as why:
        raise SystemExit(f"setup: {why}") from None
    except subprocess.CalledProcessError as failed:
        command = " ".join(str(part) for part in failed.cmd)
        raise SystemExit(f"setup: `{command}` failed; what it said is above") from None


def _virtualenv() -> None:
    """Install exactly what the lock says, when it changed since the last time."""
    wanted = _fingerprint()
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
        return
    if sys.version_info < OLDEST_PYTHON:
        raise CannotSetUp(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; "
            "name another one with `make setup PYTHON=python3.12`"
        )
    if not PYTHON.exists():
        _create_virtualenv()
    _say("installing the locked packages into .venv (a minute or two)")
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run(*pip, "--require-hashes", "-r", LOCK)
    _run(*pip, "--no-deps", "--no-build-isolation", "-e", ROOT)
    STAMP.write_text(wanted)


def _create_virtualenv() -> None:
    command = [sys.executable, "-m", "venv", str(VENV)]
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        return
    # Debian splits ensurepip off into a package of its own.
    shutil.rmtree(VENV, ignore_errors=True)
    if not _can_apt():
        raise CannotSetUp("`python3 -m venv` does not work; install your system's python3-venv")
    _apt(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    _run(*command)


def _chromium() -> None:
    """Use the machine's Chromium, else install one."""
    if _find_chromium():
        return
    if _can_apt():
        _say("installing Debian's Chromium")
        _apt("chromium", "chromium-headless-shell")
    else:
        _say("installing Playwright's Chromium")
        subprocess.run([PYTHON, "-m", "playwright", "install", "chromium"], check=False)
    if not _find_chromium():
        raise CannotSetUp(
            "no Chromium, and it could not be installed: install your system's chromium package "
            "(Debian: `apt-get install chromium chromium-headless-shell`, as root), then run "
            "`make setup` again"
        )


def _find_chromium() -> Path | None:
    try:
        return binaries.chromium()
    except binaries.MissingProgram:
        return None


def _can_apt() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _apt(*packages: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", "-o=Dpkg::Use-Pty=0"]
    subprocess.run([*apt, "update"], env=environment, check=True)
    install = [*apt, "install", "--yes", "--no-install-recommends", *packages]
    subprocess.run(install, env=environment, check=True, stdout=subprocess.DEVNULL)


def _fingerprint() -> str:
    """Changes when the lock, the packaging, the Python or the place of the tree does."""
    digest = hashlib.sha256()
    for part in (LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), str(ROOT).encode()):
        digest.update(part)
    return digest.hexdigest()


def _run(*command: object) -> None:
    """Silent when it works; when it does not, everything it said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stdout + done.stderr)
        done.check_returncode()


def _say(text: str) -> None:
    print(f"setup: {text}", flush=True)


if __name__ == "__main__":
    main()
