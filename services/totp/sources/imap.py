"""An IMAP4rev1 client (RFC 3501, IDLE of RFC 2177) that only reads, on a checked connection.

The standard library's imaplib blocks a thread for each mailbox and opens its own sockets, past the
rules of egress.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from libs import egress, ids
from libs.egress import EgressRules
from libs.secrets import Secret
from services.totp.domain import LARGEST_CONTENT_BYTES, MailTarget, Security

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 30.0
PORTS = frozenset({143, 993})
_LONGEST_LINE = 256 * 1024
_LITERAL = re.compile(rb"\{(\d+)\}\Z")
_CODE = re.compile(rb"\[(UIDVALIDITY|UIDNEXT) (\d+)\]", re.IGNORECASE)
_FETCHED_UID = re.compile(rb"\bUID (\d+)", re.IGNORECASE)
_DATE = re.compile(rb'INTERNALDATE "([^"]+)"', re.IGNORECASE)


class ImapFailure(Exception):
    """The server or the network failed; its text says how and holds no secret."""


class LoginRefused(ImapFailure):
    """The server does not accept the user name and password."""


class Refused(ImapFailure):
    """The server answered NO or BAD."""


@dataclass(frozen=True)
class Mail:
    """A fetched message."""

    uid: int
    arrived_at: datetime | None
    content: str = field(repr=False)


class Imap:
    """One connection to one folder, opened read-only."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # Nobody on the way can answer a command before its tag is seen, least of all before TLS.
        self._secret_tag = ids.random_bytes(4).hex().encode()
        self._tag = 0
        self._capabilities: frozenset[bytes] = frozenset()
        self.uid_validity = 0
        self.uid_next = 1

    @property
    def can_push(self) -> bool:
        """Whether the server tells of new mail by itself."""
        return b"IDLE" in self._capabilities

    async def begin(self, target: MailTarget, password: Secret, tls: ssl.SSLContext) -> None:
        """Greets, secures the connection, signs in and opens the folder without right to change."""
        await self._line()
        if target.security is Security.STARTTLS:
            await self._ask(b"STARTTLS")
            await self._writer.start_tls(tls, server_hostname=target.host)
        try:
            await self._ask(
                b"LOGIN " + _quoted(target.username) + b" " + _quoted(password.reveal())
            )
        except Refused as refused:
            raise LoginRefused("the server refused the user name or the password") from refused
        for line in await self._ask(b"CAPABILITY"):
            if line.upper().startswith(b"* CAPABILITY"):
                self._capabilities = frozenset(line.upper().split()[2:])
        for line in await self._ask(b"EXAMINE " + _quoted(target.folder)):
            for name, number in _CODE.findall(line):
                if name.upper() == b"UIDNEXT":
                    self.uid_next = int(number)
                else:
                    self.uid_validity = int(number)

    async def after(self, uid: int) -> list[int]:
        """The messages that came after this one."""
        found: list[int] = []
        for line in await self._ask(b"UID SEARCH UID %d:*" % (uid + 1)):
            if line.upper().startswith(b"* SEARCH"):
                found += [int(number) for number in line.split()[2:] if number.isdigit()]
        # "9:*" holds the last message even when that is number 5.
        return sorted(number for number in found if number > uid)

    async def fetch(self, uid: int) -> Mail | None:
        """A message as it was sent, without marking it as read; None when it is gone."""
        what = b"(UID INTERNALDATE BODY.PEEK[]<0.%d>)" % LARGEST_CONTENT_BYTES
        for line in await self._ask(b"UID FETCH %d %s" % (uid, what)):
            head, _, rest = line.partition(b"\r\n")
            literal = _LITERAL.search(head)
            if literal is None or b"FETCH" not in head.upper():
                continue
            size = int(literal.group(1))
            facts = head + rest[size:]
            named = _FETCHED_UID.search(facts)
            if named and int(named.group(1)) == uid:
                text = rest[:size].decode("utf-8", "surrogateescape")
                return Mail(uid, _moment(facts), _unsurrogated(text))
        return None

    async def new_mail(self, timeout_s: float) -> None:
        """Waits until the server tells of something new, or the time is over."""
        tag = self._next_tag()
        await self._send(tag + b" IDLE\r\n")
        while not (line := await self._line()).startswith(b"+"):
            if line.startswith(tag):
                raise ImapFailure("the server refused to push")
        try:
            async with asyncio.timeout(timeout_s):
                while b"EXISTS" not in (await self._line(None)).upper():
                    pass
        except TimeoutError:
            pass
        await self._send(b"DONE\r\n")
        await self._until(tag)

    async def still_there(self) -> None:
        """Asks for a sign of life, which also lets the server tell of new mail."""
        await self._ask(b"NOOP")

    async def close(self) -> None:
        """Ends the connection, without waiting for the server's farewell."""
        self._writer.close()

    async def _ask(self, command: bytes) -> list[bytes]:
        tag = self._next_tag()
        await self._send(tag + b" " + command + b"\r\n")
        return await self._until(tag)

    async def _until(self, tag: bytes) -> list[bytes]:
        lines: list[bytes] = []
        while not (line := await self._line()).startswith(tag + b" "):
            if line.upper().startswith(b"* BYE"):
                raise ImapFailure("the server said goodbye")
            lines.append(line)
        if line[len(tag) + 1 :].upper().startswith(b"OK"):
            return [*lines, line]
        raise Refused("the server refused a command")

    def _next_tag(self) -> bytes:
        self._tag += 1
        return b"%s-%d" % (self._secret_tag, self._tag)

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _line(self, timeout_s: float | None = ANSWER_TIMEOUT_S) -> bytes:
        """A line with the literals that belong to it."""
        try:
            async with asyncio.timeout(timeout_s):
                line = (await self._reader.readuntil(b"\n")).rstrip(b"\r\n")
                while literal := _LITERAL.search(line):
                    size = int(literal.group(1))
                    if size > LARGEST_CONTENT_BYTES:
                        raise ImapFailure("the server sent more than was asked for")
                    line += b"\r\n" + await self._reader.readexactly(size)
                    line += (await self._reader.readuntil(b"\n")).rstrip(b"\r\n")
                return line
        except TimeoutError:
            if timeout_s is None:
                raise
            raise ImapFailure("the server did not answer in time") from None
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            raise ImapFailure("the connection to the server broke") from error


async def connect(target: MailTarget, password: Secret, rules: EgressRules) -> Imap:
    """A connection to the folder, if the rules allow one; the password travels under TLS only."""
    if target.security is Security.PLAIN and not rules.allow_private_targets:
        raise ImapFailure("a connection without TLS is not allowed")
    tls = ssl.create_default_context()
    if rules.allow_private_targets and _is_this_machine(target.host):
        # On one's own machine the certificate is one's own too.
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            opened = await _socket(target, rules)
            implicit: dict[str, Any] = (
                {"ssl": tls, "server_hostname": target.host}
                if target.security is Security.TLS
                else {}
            )
            streams = await asyncio.open_connection(sock=opened, limit=_LONGEST_LINE, **implicit)
    except TimeoutError:
        raise ImapFailure("the server did not answer in time") from None
    except ssl.SSLError as error:
        raise ImapFailure("the server's certificate or TLS does not hold") from error
    except OSError as error:
        raise ImapFailure("the server cannot be reached") from error
    client = Imap(*streams)
    try:
        await client.begin(target, password, tls)
    except ssl.SSLError as error:
        await client.close()
        raise ImapFailure("the server's certificate or TLS does not hold") from error
    except BaseException:
        await client.close()
        raise
    return client


def _is_this_machine(host: str) -> bool:
    """Whether the host is this machine, by name or by number."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


async def _socket(target: MailTarget, rules: EgressRules) -> socket.socket:
    """A socket to the first address of the host that may be reached; checked after resolution."""
    private = rules.allow_private_targets
    if target.port not in PORTS and not private:
        raise ImapFailure("the port is not one of mail servers")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    # The port was judged above; what is asked here is the address.
    allowed = [
        one for one in found if egress.is_allowed(str(one[4][0]), 443, allow_private=private)
    ]
    if not allowed:
        raise ImapFailure("the server is at an address that may not be reached")
    failure = OSError()
    for family, kind, protocol, _, address in allowed:
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        try:
            await loop.sock_connect(opened, address)
            return opened
        except BaseException as error:
            opened.close()
            if not isinstance(error, OSError):
                raise
            failure = error
    raise failure


def _quoted(text: str) -> bytes:
    if any(c in text for c in "\r\n\0"):
        raise ImapFailure("user name, password and folder must not hold line ends")
    return b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'


def _moment(text: bytes) -> datetime | None:
    found = _DATE.search(text)
    if found is None:
        return None
    try:
        return datetime.strptime(found.group(1).decode().strip(), "%d-%b-%Y %H:%M:%S %z")
    except ValueError:
        return None


def _unsurrogated(text: str) -> str:
    """8-bit mail that is no UTF-8: the bytes as Latin-1, as mail programs show them."""
    if not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
