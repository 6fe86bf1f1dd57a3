"""A real Valkey on a unix socket, for tests; stopped by pid."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deploy import binaries


@contextlib.contextmanager
def valkey() -> Iterator[str]:
    """Runs a server inside the block and answers its URL."""
    with tempfile.TemporaryDirectory(prefix="pv-") as folder:
        path = Path(folder) / "v.sock"
        process = start(path, folder)
        try:
            yield f"unix://{path}"
        finally:
            process.kill()
            process.wait()


def start(path: Path, folder: str, *options: str) -> subprocess.Popen[bytes]:
    """Starts a server on `path` and waits until it accepts connections."""
    place = ("--port", "0", "--unixsocket", str(path), "--dir", folder, "--save", "")
    process = subprocess.Popen(
        [binaries.valkey(), *place, *options],
        stdout=subprocess.DEVNULL,
    )
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            return process
        time.sleep(0.01)
    process.kill()
    raise RuntimeError("valkey did not start")
