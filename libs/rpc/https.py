"""HTTP and WebSocket by the same certificates: the REST door, and the way to a browser."""

from __future__ import annotations

import ssl
from typing import Any

import aiohttp

from libs.rpc import spiffe
from libs.rpc.certificates import Certificates, Version

HTTP_1 = ["http/1.1"]


def server_context(certificates: Certificates) -> ssl.SSLContext:
    """For a server: who connects must show a certificate, and each connection is of the newest."""
    used = certificates.current()
    first = present = _context(used, ssl.PROTOCOL_TLS_SERVER)

    def choose(line: ssl.SSLObject, _name: str | None, _context_of: ssl.SSLContext) -> None:
        nonlocal used, present
        version = certificates.current()
        if version is not used:
            used, present = version, _context(version, ssl.PROTOCOL_TLS_SERVER)
        line.context = present

    first.sni_callback = choose  # type: ignore[assignment]
    return first


def client_context(certificates: Certificates, part: str) -> ssl.SSLContext:
    """For a client: whoever answers must be this part, wherever it is."""
    context = _Towards(ssl.PROTOCOL_TLS_CLIENT)
    context.certificates = certificates
    context.name = spiffe.dns_name(part, certificates.environment)
    return context


def session(certificates: Certificates | None, part: str) -> aiohttp.ClientSession:
    """An HTTP client whose secured connections all go to one part."""
    if certificates is None:
        return aiohttp.ClientSession()
    context = client_context(certificates, part)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


def shown_by(transport: Any) -> list[str]:
    """The SPIFFE ids in the certificate that the other end of a connection has shown."""
    shown = (transport.get_extra_info("peercert") or {}).get("subjectAltName", ())
    return [value for kind, value in shown if kind == "URI"]


class _Towards(ssl.SSLContext):
    """Makes each connection by the newest version, and holds the other end to one name.

    Replicas are found at addresses that no certificate can know beforehand.
    """

    certificates: Certificates
    name: str

    def wrap_bio(self, incoming: Any, outgoing: Any, *_: Any, **__: Any) -> ssl.SSLObject:
        """The TLS side of a connection that is just being made."""
        newest = _context(self.certificates.current(), ssl.PROTOCOL_TLS_CLIENT)
        return newest.wrap_bio(incoming, outgoing, server_side=False, server_hostname=self.name)


def _context(version: Version, side: int) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(version.folder / "tls.crt", version.folder / "tls.key")
    context.load_verify_locations(cadata=version.trusted.decode())
    context.set_alpn_protocols(HTTP_1)
    return context
