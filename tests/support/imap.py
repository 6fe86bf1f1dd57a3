"""A real IMAP server (pymap) in a process of its own, and mail put into its mailbox."""

from __future__ import annotations

import asyncio
import imaplib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.eventually import eventually

USER = "jo@mail.test"
PASSWORD = 'canary "mail" \\ password'
_PYMAP = Path(sys.executable).with_name("pymap")


@dataclass
class MailServer:
    """One mailbox on a real server."""

    port: int
    process: subprocess.Popen[bytes]

    async def deliver(self, mail: str) -> None:
        """Puts a mail into the inbox."""
        await asyncio.to_thread(self._append, mail.replace("\n", "\r\n").encode())

    async def unseen(self) -> int:
        """How many mails nobody has marked as read."""
        return await asyncio.to_thread(self._unseen)

    def _open(self) -> imaplib.IMAP4:
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=10)
        client.login(USER, client._quote(PASSWORD))  # type: ignore[attr-defined]
        return client

    def _append(self, mail: bytes) -> None:
        with self._open() as client:
            assert client.append("INBOX", "", "", mail)[0] == "OK"

    def _unseen(self) -> int:
        with self._open() as client:
            client.select("INBOX", readonly=True)
            return len(client.search(None, "UNSEEN")[1][0].split())


@asynccontextmanager
async def mail_server(*options: str) -> AsyncIterator[MailServer]:
    """Starts a server with one empty mailbox; `options` are pymap's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = ("--no-service", "managesieve", "--no-service", "admin")
    own = ("dict", "--demo-user", USER, "--demo-password", PASSWORD)
    where = ("--host", "127.0.0.1", "--port", str(port))
    process = subprocess.Popen(
        [str(_PYMAP), *quiet, *where, *(options or ("--no-tls",)), *own],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    async def answers() -> bool:
        assert process.poll() is None, "the mail server ended"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await eventually(answers, within=30)
        yield MailServer(port, process)
    finally:
        process.kill()
        process.wait()
