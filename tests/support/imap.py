"""A real IMAP server (pymap) with TLS in a process of its own, and mail put into its mailbox."""

from __future__ import annotations

import asyncio
import datetime
import imaplib
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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
        client.starttls(ssl._create_unverified_context())
        client.login(USER, PASSWORD)
        return client

    def _append(self, mail: bytes) -> None:
        with self._open() as client:
            assert client.append("INBOX", "", "", mail)[0] == "OK"

    def _unseen(self) -> int:
        with self._open() as client:
            client.select("INBOX", readonly=True)
            return len(client.search(None, "UNSEEN")[1][0].split())


@asynccontextmanager
async def mail_server(folder: Path) -> AsyncIterator[MailServer]:
    """Starts a server with one empty mailbox; its certificate is kept in the folder."""
    pair = _certificate(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = ("--no-service", "managesieve", "--no-service", "admin")
    own = ("dict", "--demo-user", USER, "--demo-password", PASSWORD)
    where = ("--host", "127.0.0.1", "--port", str(port))
    process = subprocess.Popen(
        [str(_PYMAP), *quiet, *where, *pair, *own],
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


def _certificate(folder: Path) -> list[str]:
    """A certificate of one's own making, as pymap's options."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    kept, secret = folder / "cert.pem", folder / "key.pem"
    kept.write_bytes(certificate.public_bytes(pem))
    secret.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return ["--cert", str(kept), "--key", str(secret)]
